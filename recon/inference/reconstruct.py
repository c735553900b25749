"""Reconstructs meshes from any images with a trained model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from recon.compute import choose_device
from recon.datasets.framing import framing_of
from recon.formats.images import ImageLike
from recon.geometry.cameras import Cameras
from recon.geometry.frames import turned_mesh
from recon.geometry.meshes import Mesh
from recon.inference.input_images import (
    CloseUp,
    Cutout,
    InputImage,
    close_up,
    cut_out,
    take_image,
)
from recon.inference.refinement import Refinement
from recon.inference.viewpoint_search import (
    align_to_masks,
    find_directions,
    nearest_cameras,
    predict_directions,
)
from recon.models import Prediction
from recon.models.prediction import predict
from recon.runs.shipped_models import DEFAULT_MODEL
from recon.runs.trained_models import TrainedModel, load_trained_model

# The side of the images of models whose encoder does not tell.
USUAL_SIDE = 64
# Sizes tried. On 108 test objects in images whose framing was thrown away (5 views each, a small
# network) the best of such sizes gave 31 % voxel IoU, the usual size alone 26, the true one 38.
SIZES = 8


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """The reconstruction of the object in one image.

    Args:
        image: The input image with its mask.
        cutout: The part of the image that the network saw.
        fill: The longer side of the mask's bounding box as a share of the side of the cutout.
        world: The predicted mesh in the world of the cameras.
        colors: [V, 3] colours of the vertices or [F, R * R, 3] texels, sRGB in [0, 1]; None where
            the model predicts none.
        view: The number of the known camera nearest to the direction found for the image, see
            `recon.inference.viewpoint_search`.
        fit: The IoU of silhouette and mask seen from that direction, the cutout being as it is.
        score: What sizes were compared by: the fit, and with a camera head also the probability of
            the direction, see `recon.inference.viewpoint_search.Directions`.
        camera: The camera in that direction, shifted and scaled so that the silhouette lies over
            the mask of the cutout.
        iou: The IoU of silhouette and mask in `camera`.
    """

    image: InputImage
    cutout: Cutout
    fill: float
    world: Mesh
    colors: Tensor | None
    view: int
    fit: float
    score: float
    camera: Cameras
    iou: float

    def model_mesh(self) -> tuple[Mesh, Tensor | None]:
        """Returns the mesh in the right-handed frame of models, up +Y and front +X, and colours."""
        return turned_mesh(self.world, self.colors)


class ImageReconstructor:
    """Predicts meshes of images which are framed as in the training data first.

    How large an object is in a training image depends on its shape and on the viewpoint. So
    several sizes are tried. The one is chosen whose mesh overlaps best with the mask that the
    network was given, rendered from the direction that its camera head predicts, or without such a
    head from the best known one.

    Args:
        trained: The trained model with its checkpoint.
        device: The name of a device, see `recon.compute.choose_device`.
        refinement: Fits each mesh to the mask from the direction that was found for it; None leaves
            the predictions as they are.

    Raises:
        ValueError: There is no such device.
    """

    def __init__(
        self,
        trained: TrainedModel,
        device: str = "auto",
        refinement: Refinement | None = None,
    ) -> None:
        self.refinement = refinement
        self.framing = framing_of(trained.checkpoint)
        self.model = trained.model.to(choose_device(device))
        faces: Tensor = self.model.faces  # type: ignore[assignment]
        self.faces = faces.cpu()
        side = getattr(getattr(trained.model, "encoder", None), "image_size", USUAL_SIDE)
        self.image_size = (int(side), int(side))
        self.cameras = Cameras.from_rows(self.framing.cameras.float().cpu())

    def __call__(self, images: Sequence[InputImage]) -> list[Reconstruction]:
        """Reconstructs images, all in one batch for the network."""
        if not images:
            return []
        low, _, high = self.framing.fill
        sizes = torch.logspace(math.log10(low), math.log10(high), SIZES).tolist()
        # Twice the resolution that the network sees.
        side, reach = 2 * self.image_size[0], 2 * max(map(abs, self.framing.center))
        close = [close_up(image, side, low / (1 + reach)) for image in images]
        best = self._try(images, close, sizes[0])
        for size in sizes[1:]:
            tried = self._try(images, close, size)
            best = [
                max(pair, key=lambda made: made.score) for pair in zip(best, tried, strict=True)
            ]
        return self._aligned(best)

    def _try(
        self, images: Sequence[InputImage], close: Sequence[CloseUp], fill: float
    ) -> list[Reconstruction]:
        """Reconstructs images at one size, each with the direction found for it."""
        cutouts = [cut_out(one, self.framing, self.image_size, fill) for one in close]
        inputs = torch.stack([cutout.image for cutout in cutouts])
        prediction = predict(self.model, inputs)
        vertices, faces = prediction.vertices.float().cpu(), self.faces
        if prediction.direction_logits is None:
            found = find_directions(vertices, faces, inputs[:, 3], self.cameras)
        else:
            found = predict_directions(_on_cpu(prediction), faces, inputs[:, 3], self.cameras)
        views = nearest_cameras(found.cameras, self.cameras)
        return [
            Reconstruction(
                image=images[index],
                cutout=cutouts[index],
                fill=fill,
                world=Mesh(vertices[index], faces),
                colors=_colors(prediction, index),
                view=int(views[index]),
                fit=float(found.iou[index]),
                score=float(found.score[index]),
                camera=found.cameras[index],
                iou=0.0,
            )
            for index in range(len(images))
        ]

    def _aligned(self, made: Sequence[Reconstruction]) -> list[Reconstruction]:
        """Returns reconstructions with the cameras in which they lie over their cutouts."""
        vertices = torch.stack([one.world.vertices for one in made])
        alpha = torch.stack([one.cutout.image[3] for one in made])
        found = Cameras.from_rows(torch.cat([one.camera.rows() for one in made]))
        cameras, ious = align_to_masks(vertices, self.faces, alpha, found)
        if self.refinement is not None:
            vertices = self.refinement(vertices, self.faces, alpha.float() / 255, cameras)
            cameras, ious = align_to_masks(vertices, self.faces, alpha, cameras)
        return [
            replace(
                one,
                world=Mesh(vertices[index], self.faces),
                camera=cameras[index],
                iou=float(ious[index]),
            )
            for index, one in enumerate(made)
        ]


def _on_cpu(prediction: Prediction) -> Prediction:
    """Returns meshes and directions on the CPU, where silhouettes are rendered."""
    moved = {
        name: value.cpu()
        for name in ("vertices", "direction_logits", "directions")
        if (value := getattr(prediction, name)) is not None
    }
    return replace(prediction, **moved)


def _colors(prediction: Prediction, index: int) -> Tensor | None:
    return None if prediction.colors is None else prediction.colors[index].float().cpu()


def reconstruct(
    image: ImageLike,
    checkpoint: str | Path | TrainedModel | ImageReconstructor = DEFAULT_MODEL,
    mask: ImageLike | None = None,
) -> Mesh:
    """Predicts the mesh of the object in an image.

    Args:
        image: A path, the bytes of a file, a PIL image, or an array [H, W, 3] or [H, W, 4] of sRGB;
            see `recon.formats.images.decode_image`.
        checkpoint: The path of a checkpoint of a training run, the name of a model that comes with
            the package, or a loaded model, which many calls can share:
            `ImageReconstructor(load_trained_model(path))`.
        mask: The mask of the object in any of these forms. None uses the alpha channel, or else
            estimates the mask, see `recon.segmentation.estimate`.

    Returns:
        The mesh in the right-handed frame of models: up +Y, front +X, within [-0.5, 0.5]; its faces
        have the mean of the predicted colours, if the model predicts some.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file or an argument is not as described, or no object is found.
    """
    if not isinstance(checkpoint, TrainedModel | ImageReconstructor):
        checkpoint = load_trained_model(checkpoint)
    if isinstance(checkpoint, TrainedModel):
        checkpoint = ImageReconstructor(checkpoint)
    mesh, colors = checkpoint([take_image(image, mask)])[0].model_mesh()
    if colors is None:
        return mesh
    of_faces = colors.mean(1) if colors.dim() == 3 else colors[mesh.faces].mean(1)
    return Mesh(mesh.vertices, mesh.faces, of_faces.clamp(0, 1))
