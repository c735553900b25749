"""A decoder of one's own: a cube whose vertices move freely."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recon.geometry.meshes import icosphere


class CubeDecoder(nn.Module):
    """Decodes a latent vector into the vertices of a deformed cube.

    Args:
        latent: The length of the latent vector.
        hidden: The width of the hidden layer.
        subdivisions: The number of times that the icosphere is subdivided whose vertices are moved
            onto the cube.
        reach: The greatest distance that a coordinate moves, object units.
    """

    faces: Tensor
    template_vertices: Tensor

    def __init__(
        self, latent: int, hidden: int = 256, subdivisions: int = 3, reach: float = 0.25
    ) -> None:
        super().__init__()
        sphere = icosphere(subdivisions)
        cube = 0.25 * sphere.vertices / sphere.vertices.abs().amax(1, keepdim=True)
        self.latent, self.reach = latent, reach
        self.register_buffer("faces", sphere.faces)
        self.register_buffer("template_vertices", cube)
        self.layers = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.ReLU(),
            nn.Linear(hidden, cube.numel()),
        )

    def forward(self, latent: Tensor) -> Tensor:
        """Decodes [B, latent] into vertices [B, V, 3] within [-0.5, 0.5]."""
        offsets = torch.tanh(self.layers(latent).float()).unflatten(1, (-1, 3))
        return self.template_vertices + self.reach * offsets
