"""Refines a predicted mesh so that its silhouette fits the mask that it was predicted from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recon.arguments import NonNegativeInt, PositiveFloat
from recon.geometry.cameras import Cameras
from recon.geometry.mirror import mirror_cameras
from recon.losses.silhouette import silhouette_iou_loss
from recon.losses.smoothness import FlattenLoss, LaplacianLoss
from recon.rendering.renderer import SoftRenderer

# Softness of silhouettes in squared NDC units, and the weights of smoothness: those of training.
_SIGMA, _LAPLACIAN, _FLATTEN = 1e-4, 5e-3, 5e-4
# A tenth of the usual gradient of a coordinate. With less, Adam moves what no mask shows at full
# rate, by the sign of rounding errors, and a symmetric mesh does not stay symmetric.
_ADAM_EPS = 1e-3


@dataclass(frozen=True)
class Refinement:
    """Fits vertices to a mask from a known camera, and to its mirror image from the mirrored one.

    Small steps: the mask tells the outline from one side, and what it does not tell is better in
    the prediction. The mean voxel IoU of 63 validation objects rose from 40.3 percent to 42.7 with
    15 steps, 43.5 with 30 and 44.1 with 60.

    Args:
        steps: The number of steps of Adam; 0 changes nothing.
        lr: The learning rate, which is about the distance that each step moves a coordinate, object
            units.
        mirror: Whether the mirror image is fitted too, which keeps a symmetric mesh symmetric.

    Raises:
        ValueError: A number is out of range.
    """

    steps: NonNegativeInt = 15
    lr: PositiveFloat = 0.002
    mirror: bool = True

    def __post_init__(self) -> None:
        if self.steps < 0 or not self.lr > 0:
            raise ValueError(f"steps must be >= 0 and lr > 0, got {self.steps} and {self.lr}")

    def __call__(self, vertices: Tensor, faces: Tensor, masks: Tensor, cameras: Cameras) -> Tensor:
        """Returns refined vertices [B, V, 3]; what becomes of one does not depend on the others.

        Args:
            vertices: [B, V, 3] vertices of B meshes, object units.
            faces: [F, 3] int64 faces of every mesh.
            masks: [B, H, W] masks in [0, 1].
            cameras: The B cameras of the masks.

        Raises:
            ValueError: Shapes disagree.
        """
        if masks.dim() != 3 or not len(masks) == len(vertices) == len(cameras):
            raise ValueError(
                f"vertices, masks [B, H, W] and cameras must be of as many images, got "
                f"{list(vertices.shape)}, {list(masks.shape)} and {len(cameras)}"
            )
        if not self.steps:
            return vertices
        with torch.inference_mode(False), torch.enable_grad():
            return self._fitted(vertices.clone(), faces.clone(), masks.clone().float(), cameras)

    def _fitted(self, vertices: Tensor, faces: Tensor, masks: Tensor, cameras: Cameras) -> Tensor:
        moved = nn.Parameter(vertices.detach())
        smooth = [
            (_LAPLACIAN, LaplacianLoss(faces, vertices.shape[1]).to(vertices.device)),
            (_FLATTEN, FlattenLoss(faces).to(vertices.device)),
        ]
        renderer = SoftRenderer((masks.shape[1], masks.shape[2]), sigma=_SIGMA)
        truths = [(cameras, masks)]
        if self.mirror:
            mirrored = Cameras.from_rows(mirror_cameras(cameras.rows()))
            truths.append((mirrored, masks.flip(-1)))
        optimizer = torch.optim.Adam([moved], lr=self.lr, eps=_ADAM_EPS)
        for _ in range(self.steps):
            optimizer.zero_grad(set_to_none=True)
            losses = [
                silhouette_iou_loss(renderer.silhouette(moved, faces, seen), mask)
                for seen, mask in truths
            ]
            smoothness = [weight * loss(moved) for weight, loss in smooth]
            total = sum(losses) / len(losses) + sum(smoothness)
            # The losses are means over the images; as a sum, the gradients of one are its own.
            (total * len(moved)).backward()
            optimizer.step()
        return moved.detach()
