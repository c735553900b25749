"""Every renderer is what training asks of one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recon.geometry.cameras import shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.rendering.dibr import DIBRenderer
from recon.rendering.edge import EdgeGradientRenderer
from recon.rendering.interface import Renderer
from recon.rendering.nmr import NeuralMeshRenderer
from recon.rendering.renderer import SoftRenderer


@pytest.mark.parametrize(
    "make", [SoftRenderer, DIBRenderer, EdgeGradientRenderer, NeuralMeshRenderer]
)
def test_calls_and_attributes_are_those_of_the_protocol(make: Callable[[int], Renderer]) -> None:
    renderer = make(12).to(torch.device("cpu"))
    assert renderer.image_size == (12, 12)
    assert renderer.sigma >= 0
    assert renderer.gamma >= 0
    assert renderer.texture == "vertex"
    assert tuple(renderer.background) == (0.0, 0.0, 0.0)
    assert renderer.lighting is None
    sphere, cameras = icosphere(1), shapenet_cameras([0, 5])
    vertices = (sphere.vertices * 0.4).expand(2, -1, -1)
    colors = torch.ones(2, len(sphere.faces), 3, 3)
    rgba = renderer(vertices, sphere.faces, colors, cameras, 1e-4, 1e-4)
    alpha = renderer.silhouette(vertices, sphere.faces, cameras, 1e-4)
    assert rgba.shape == (2, 4, 12, 12)
    torch.testing.assert_close(rgba[:, 3], alpha)
    # What is covered at its middle is white.
    torch.testing.assert_close(rgba[:, :3, 6, 6], torch.ones(2, 3))
