"""What all renderers share."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recon.geometry.cameras import Cameras
from recon.rendering.dibr import DIBRenderer
from recon.rendering.edge import EdgeGradientRenderer
from recon.rendering.mesh_renderer import MeshRenderer
from recon.rendering.nmr import NeuralMeshRenderer
from recon.rendering.renderer import SoftRenderer

RENDERERS = pytest.mark.parametrize(
    "make", [SoftRenderer, DIBRenderer, EdgeGradientRenderer, NeuralMeshRenderer]
)
TRIANGLE = torch.tensor([[[-0.5, -0.4, 0.0], [0.5, -0.4, 0.0], [0.0, 0.6, 0.0]]])
FACES = torch.tensor([[0, 1, 2]])
CAMERA = Cameras.orbit(torch.zeros(1), torch.zeros(1), torch.full((1,), 2.732), 30.0)


@RENDERERS
def test_images_and_silhouettes_have_the_size_asked_for_whatever_the_anti_aliasing(
    make: Any,
) -> None:
    colors = torch.ones(1, 1, 3, 3)
    for anti_aliasing in (1, 2):
        renderer = make((12, 20), anti_aliasing=anti_aliasing)
        assert isinstance(renderer, MeshRenderer)
        behind = torch.rand(1, 3, 12, 20)
        rgba = renderer(TRIANGLE, FACES, colors, CAMERA, background=behind)
        assert rgba.shape == (1, 4, 12, 20)
        assert renderer.silhouette(TRIANGLE, FACES, CAMERA).shape == (1, 12, 20)
        # The corner shows the background as it is.
        torch.testing.assert_close(rgba[0, :3, 0, 0], behind[0, :, 0, 0])


@RENDERERS
def test_bad_arguments_are_named(make: Any) -> None:
    with pytest.raises(ValueError, match="anti_aliasing must be an int >= 1, got 0"):
        make(16, anti_aliasing=0)
    behind = torch.rand(1, 3, 9, 16)
    with pytest.raises(ValueError, match=r"background must have shape \[3\] or \[1, 3, 16, 16\]"):
        make(16)(TRIANGLE, FACES, torch.ones(1, 1, 3, 3), CAMERA, background=behind)
