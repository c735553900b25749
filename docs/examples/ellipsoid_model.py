"""A model of one's own: every object is an ellipsoid, whose centre and half axes are predicted."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recon.geometry.meshes import icosphere
from recon.models import Prediction


class EllipsoidModel(nn.Module):
    """Predicts three half axes and a centre from the mask of an image.

    Args:
        subdivisions: The number of times that the sphere is subdivided which is stretched.
        hidden: The width of the one hidden layer.
        side: The number of pixels along each side to which masks are reduced.
    """

    faces: Tensor
    sphere: Tensor

    def __init__(self, subdivisions: int = 2, hidden: int = 64, side: int = 16) -> None:
        super().__init__()
        mesh = icosphere(subdivisions)
        self.register_buffer("faces", mesh.faces)
        self.register_buffer("sphere", mesh.vertices)
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(side),
            nn.Flatten(),
            nn.Linear(side**2, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 6),
        )

    @property
    def template_vertices(self) -> Tensor:
        """The mesh before anything was learned: a ball of half the size of an object."""
        return 0.25 * self.sphere

    def forward(self, image: Tensor) -> Prediction:
        """Predicts ellipsoids [B, V, 3] from images [B, 4, H, W] in [0, 1]."""
        numbers = self.layers(image[:, 3:]).float()
        half_axes = 0.5 * torch.sigmoid(numbers[:, None, :3])
        # Voxels cover [-0.5, 0.5]^3: a mesh which leaves that is cut open, and so counts as hollow.
        centre = (0.5 - half_axes) * torch.tanh(numbers[:, None, 3:])
        return Prediction(half_axes * self.sphere + centre)
