from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recon.datasets.storage.layout import Layout
from recon.geometry.cameras import SHAPENET_DISTANCE, SHAPENET_FOV, shapenet_cameras
from recon.metrics import Truth
from recon.metrics.silhouette import Silhouette, mesh_silhouettes
from tests.recon.metrics.solids import sphere

VIEWS = [0, 3, 7, 14]


def disc(radius: float, size: int) -> Tensor:
    """Alpha [size, size] uint8 of a sphere around the origin, of 8 x 8 samples in each pixel."""
    # Of a sphere one sees the cone that touches it: tan = r / sqrt(d^2 - r^2).
    tangent = radius / math.sqrt(SHAPENET_DISTANCE**2 - radius**2)
    limit = tangent / math.tan(math.radians(SHAPENET_FOV / 2))
    places = (2 * torch.arange(8 * size) + 1 - 8 * size) / (8 * size)
    covered = (places[:, None] ** 2 + places[None] ** 2 < limit**2).float()
    shares = covered.reshape(size, 8, size, 8).mean((1, 3))
    return (255 * shares).round().to(torch.uint8)


def truth(radius: float = 0.4, size: int = 64) -> Truth:
    return Truth(
        silhouettes=disc(radius, size).expand(len(VIEWS), -1, -1),
        cameras=shapenet_cameras(VIEWS).rows(),
    )


def score(vertices: Tensor, faces: Tensor, of: Truth, suite: Silhouette) -> float:
    (values,) = suite.score(vertices[None], faces, of, [0], 0).values()
    return values.item()


@pytest.mark.parametrize("size", [64, 256])
def test_a_sphere_has_the_silhouette_of_a_cone(size: int) -> None:
    found = score(*sphere(0.4, 4), truth(0.4, size), Silhouette(size))
    # Facets cut some pixels off the border, of which there is one for 8 to 40 inside.
    assert 0.985 < found <= 1


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_spheres_of_two_sizes(factor: int) -> None:
    # The areas of two discs of 11 and 18 pixels' radius; the truth is averaged to 64 pixels.
    found = score(*sphere(0.25, 4), truth(0.4, 64 * factor), Silhouette())
    squared = SHAPENET_DISTANCE**2
    expected = (0.25**2 / (squared - 0.25**2)) / (0.4**2 / (squared - 0.4**2))
    assert found == pytest.approx(expected, rel=0.04)


def test_the_view_that_was_shown_does_not_count() -> None:
    right, wrong = disc(0.4, 64), torch.zeros(64, 64, dtype=torch.uint8)
    vertices, faces = sphere(0.4, 4)
    of = Truth(
        silhouettes=torch.stack([wrong, right, right, right]),
        cameras=shapenet_cameras(VIEWS).rows(),
    )
    found = Silhouette().score(vertices.expand(2, -1, -1), faces, of, [0, 1], 0)
    seen = found["silhouette_iou_64"].tolist()
    assert seen[0] > 0.98
    assert seen[1] == pytest.approx(seen[0] * 2 / 3)


def test_each_view_has_its_camera() -> None:
    # A sphere off the centre is seen elsewhere from each view.
    vertices, faces = sphere(0.15, 3, (0.3, 0.0, 0.1))
    cameras = shapenet_cameras(VIEWS)
    masks = mesh_silhouettes(vertices, faces, cameras, (64, 64))
    assert masks.sum((1, 2)).min() > 50
    assert (masks[0] & masks[1]).sum() < 0.5 * masks[0].sum()
    of = Truth(silhouettes=masks.to(torch.uint8) * 255, cameras=cameras.rows())
    assert score(vertices, faces, of, Silhouette()) == 1
    turned = Truth(silhouettes=of.silhouettes, cameras=cameras.rows().roll(1, 0))
    assert score(vertices, faces, turned, Silhouette()) < 0.6


def test_half_a_pixel_counts() -> None:
    vertices, faces = sphere(0.4, 4)
    masks = mesh_silhouettes(vertices, faces, shapenet_cameras(VIEWS), (64, 64))
    for alpha, expected in ((128, 1.0), (127, 0.0)):
        silhouettes = masks.to(torch.uint8) * alpha
        of = Truth(silhouettes=silhouettes, cameras=shapenet_cameras(VIEWS).rows())
        assert score(vertices, faces, of, Silhouette()) == expected


def test_predictions_without_a_surface() -> None:
    vertices, faces = sphere(0.4)
    nothing = Truth(
        silhouettes=torch.zeros(4, 64, 64, dtype=torch.uint8),
        cameras=shapenet_cameras(VIEWS).rows(),
    )
    for prediction, triangles in ((vertices, faces[:0]), (vertices * torch.nan, faces)):
        assert score(prediction, triangles, truth(), Silhouette()) == 0
        assert score(prediction, triangles, nothing, Silhouette()) == 1


def test_what_is_behind_the_eye_is_not_seen() -> None:
    vertices, faces = sphere(0.4)
    eye = shapenet_cameras([3]).eye()[0]
    of = Truth(
        silhouettes=truth().require("silhouettes")[:2], cameras=shapenet_cameras([0, 3]).rows()
    )
    assert score(vertices + 2 * eye, faces, of, Silhouette()) == 0


@pytest.mark.parametrize("size", [(64, 64), (128, 64), (192, 128)])
def test_images_of_a_multiple_of_the_size(size: tuple[int, int]) -> None:
    suite = Silhouette()
    suite.for_layout(Layout(size, 2))
    masks = suite._masks(torch.full((2, *size), 255, dtype=torch.uint8))
    assert (min(masks.shape[1:]), max(masks.shape[1:])) == (64, 64 * max(size) // min(size))
    assert masks.all()


@pytest.mark.parametrize(
    ("suite", "size"),
    [(Silhouette(256), (64, 64)), (Silhouette(), (137, 137)), (Silhouette(), (128, 129))],
)
def test_other_images_are_refused(suite: Silhouette, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"the data has {size[0]} x {size[1]}; smaller ones"):
        suite.for_layout(Layout(size, 2))


def test_arguments_that_do_not_fit_are_refused() -> None:
    vertices, faces = sphere(0.4)
    with pytest.raises(ValueError, match="needs views that were not shown, the objects have 1"):
        Silhouette().for_layout(Layout((64, 64), 1))
    with pytest.raises(ValueError, match="size must be >= 1, got 0"):
        Silhouette(0)
    one = Truth(silhouettes=disc(0.4, 64)[None], cameras=shapenet_cameras([0]).rows())
    with pytest.raises(ValueError, match="at least 2, got 1 and 1"):
        score(vertices, faces, one, Silhouette())
    with pytest.raises(ValueError, match=r"views must be in 0\.\.3, got \[4\]"):
        Silhouette().score(vertices[None], faces, truth(), [4], 0)
    with pytest.raises(ValueError, match="the data has 64 x 64"):
        score(vertices, faces, truth(), Silhouette(256))
