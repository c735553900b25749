"""What a reconstruction network predicts, and how it is asked outside of training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recon.geometry.meshes import Mesh


@dataclass(frozen=True, eq=False)
class Prediction:
    """Meshes of one topology, their colours and the directions of the cameras of their images.

    Args:
        vertices: [B, V, 3], object units.
        colors: [B, V, 3] of the vertices or [B, F, R * R, 3] texels of the faces, sRGB in [0, 1]
            and float32; None where the model has no colours.
        direction_logits: [B, K] float32, the logits of K directions from which the image may have
            been taken; None where the model has no camera head.
        directions: [K, 3] those directions, unit vectors from the object to the camera in world
            axes; None where the model has no camera head.
    """

    vertices: Tensor
    colors: Tensor | None = None
    direction_logits: Tensor | None = None
    directions: Tensor | None = None

    def likely_directions(self, count: int = 1) -> tuple[Tensor, Tensor]:
        """Returns the most probable directions of the camera of each image, the best one first.

        Args:
            count: The number C of directions; all K where there are fewer.

        Returns:
            directions: [B, C, 3] unit vectors from the object to the camera, world axes.
            log_probabilities: [B, C] float32, the logarithms of their probabilities.

        Raises:
            ValueError: The model has no camera head.
        """
        if self.direction_logits is None or self.directions is None:
            raise ValueError("directions need a model with a camera_head, got a model without one")
        logarithms = self.direction_logits.float().log_softmax(1)
        best = logarithms.topk(min(count, len(self.directions)), dim=1)
        return self.directions[best.indices], best.values


def predict(model: nn.Module, images: Tensor) -> Prediction:
    """Predicts meshes in evaluation mode and without gradients; batch norm is not updated.

    Args:
        model: The model that makes a `Prediction` of images [B, 4, H, W] in [0, 1].
        images: [n, 4, H, W] uint8 RGBA, on any device.

    Returns:
        The n predictions on the device of the model.
    """
    device = next(model.parameters()).device
    pixels = images.to(device).float() / 255
    with torch.inference_mode(), evaluating(model):
        return model(pixels)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Puts a model into evaluation mode for the block."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def blank_prediction(model: nn.Module, image_size: tuple[int, int]) -> Prediction:
    """Returns what a model predicts from one blank image, which shows what it is able to predict.

    Nothing about the model changes: it is in evaluation mode for the call, and no gradient is kept.

    Args:
        model: The model that makes a `Prediction` of images [B, 4, H, W] in [0, 1] and has `faces`
            [F, 3] and `template_vertices` [V, 3].
        image_size: (H, W) in pixels.

    Raises:
        ValueError: If the model returns something else, or another mesh than its template, or the
            template has no vertices or faces or is no mesh.
    """
    name = type(model).__name__
    try:
        template = Mesh(model.template_vertices.float(), model.faces)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(
            f"{name} must have template_vertices and faces of a mesh: {error}"
        ) from error
    # A model that has learned nothing may have no parameters.
    weight = next(model.parameters(), template.vertices)
    image = torch.zeros(1, 4, *image_size, device=weight.device, dtype=weight.dtype)
    with torch.no_grad(), evaluating(model):
        prediction = model(image)
    if not isinstance(prediction, Prediction):
        raise ValueError(
            f"{name} must return a recon.models.Prediction, got {type(prediction).__name__}"
        )
    vertices, faces = template.num_vertices, template.num_faces
    if prediction.vertices.shape != (1, vertices, 3):
        raise ValueError(
            f"{name} must predict vertices [1, {vertices}, 3] as its template_vertices have, "
            f"got {list(prediction.vertices.shape)}"
        )
    _require_colors_of_mesh(prediction.colors, vertices, faces, name)
    return prediction


def _require_colors_of_mesh(colors: Tensor | None, vertices: int, faces: int, name: str) -> None:
    if colors is None or colors.shape == (1, vertices, 3):
        return
    if colors.dim() != 4 or colors.shape[:2] != (1, faces) or colors.shape[3] != 3:
        raise ValueError(
            f"{name} must predict colors [1, {vertices}, 3] of its vertices or [1, {faces}, R * R, "
            f"3] texels of its faces, got {list(colors.shape)}"
        )
