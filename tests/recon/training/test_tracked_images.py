"""How shown objects look."""

from __future__ import annotations

import pytest
import torch

from recon.geometry.cameras import shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.rendering.renderer import SoftRenderer
from recon.training.tracked_images import (
    BOTH,
    MISSING,
    TOO_MUCH,
    silhouette_difference,
    tracked_grid,
    viewer_mesh,
)
from recon.training.tracked_objects import TrackedPredictions

SPHERE = icosphere(2)
VIEWS = shapenet_cameras([3, 9])


def shown(colors: torch.Tensor | None = None, radius: float = 0.3) -> TrackedPredictions:
    """A predicted sphere of radius 0.3, and a true one in green."""
    alpha = SoftRenderer(32, sigma=1e-7).silhouette(
        (SPHERE.vertices * radius).expand(2, -1, -1), SPHERE.faces, VIEWS
    )
    truth = torch.zeros(1, 2, 4, 32, 32, dtype=torch.uint8)
    truth[0, :, 1] = 255
    truth[0, :, 3] = (alpha * 255).round().byte()
    vertices = SPHERE.vertices[None] * 0.3
    return TrackedPredictions(("a",), truth, VIEWS.rows()[None], SPHERE.faces, vertices, colors)


def same(image: torch.Tensor, color: tuple[float, float, float]) -> torch.Tensor:
    """[H, W] where an image [3, H, W] has a colour."""
    return (image - torch.tensor(color)[:, None, None]).abs().amax(0) < 1e-3


@pytest.mark.parametrize(
    ("radius", "there", "absent"), [(0.2, TOO_MUCH, MISSING), (0.4, MISSING, TOO_MUCH)]
)
def test_differences_tell_too_much_from_missing(
    radius: float, there: tuple[float, float, float], absent: tuple[float, float, float]
) -> None:
    for image in silhouette_difference(shown(radius=radius), 0):
        assert same(image, there).any()
        assert not same(image, absent).any()
        assert same(image, BOTH)[15:17, 15:17].all()
        assert same(image, (1, 1, 1))[0].all()


def test_a_column_shows_input_prediction_and_difference_twice() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).expand(1, SPHERE.num_vertices, 3)
    grid = tracked_grid(shown(red))
    assert grid.shape == (3, 6 * 32, 32)
    middles = grid[:, 16::32, 16].T
    green = torch.tensor([0.0, 1.0, 0.0])
    for start in (0, 3):
        assert torch.allclose(middles[start], green)
        assert torch.allclose(middles[start + 1], red[0, 0])
        assert torch.allclose(middles[start + 2], torch.tensor(BOTH))


def test_viewers_get_meshes_that_are_not_mirrored() -> None:
    vertices, faces, colors = viewer_mesh(shown(), 0)
    a, b, c = vertices[faces.long()].unbind(1)
    outward = (torch.linalg.cross(b - a, c - a, dim=1) * (a + b + c)).sum(1)
    assert bool((outward > 0).all())
    assert (colors.dtype, tuple(colors.shape)) == (torch.uint8, tuple(vertices.shape))

    texels = torch.rand(1, SPHERE.num_faces, 4, 3)
    around = viewer_mesh(shown(texels), 0)[2]
    touching = (SPHERE.faces == 7).any(1)
    expected = texels[0, touching].mean((0, 1)) * 255
    assert torch.allclose(around[7].float(), expected, atol=0.51)
