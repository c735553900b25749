from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.report_page.truth import (
    describe_truth,
    image_colors,
    true_shape,
    voxel_surface,
)
from recon.geometry.cameras import Cameras, shapenet_cameras
from recon.geometry.voxels import voxelize_mesh
from recon.preparation.prepare import as_images, prepare
from recon.preparation.rendering.objects import ObjectRenderer
from recon.preparation.sources.shapes import ShapesSource
from tests.recon.evaluation.report_page.enclosed import enclosed_voxels


def iou(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one & other).sum() / (one | other).sum())


def blocks(seed: int = 0) -> np.ndarray:
    """Voxels without any symmetry."""
    occupied = np.zeros((8, 8, 8), bool)
    occupied[1:6, 2:4, 0:7] = True
    occupied[2, 3:8, 5] = True
    occupied[0, 0, 0] = True
    return occupied


def test_the_surface_of_voxels_is_closed_and_faces_outward() -> None:
    occupied = blocks()
    vertices, squares = voxel_surface(occupied)
    triangles = vertices[squares[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)].astype(float)
    # The divergence theorem: the signed volume of a closed, outward surface is its content.
    a, b, c = triangles.transpose(1, 0, 2)
    volume = np.einsum("nk,nk->n", a, np.cross(b, c)).sum() / 6
    assert volume == pytest.approx(occupied.sum() / 7**3, rel=1e-5)
    padded = np.pad(occupied, 1)
    exposed = sum(int(np.diff(padded.astype(int), axis=k).astype(bool).sum()) for k in range(3))
    assert len(squares) == exposed


def test_the_surface_lies_where_the_evaluation_places_voxels() -> None:
    occupied = blocks()
    vertices, squares = voxel_surface(occupied)
    corners = vertices[squares[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)]
    assert iou(enclosed_voxels(corners, 8), torch.from_numpy(occupied)) == 1.0


def test_squares_have_the_colours_of_the_images_which_show_them() -> None:
    occupied = np.zeros((8, 8, 8), bool)
    occupied[2:6, 2:6, 2:6] = True
    vertices, squares = voxel_surface(occupied)
    # Eyes on both sides along z: from azimuth 0 one sees -z, from 180 +z.
    angles = torch.tensor([0.0, 180.0])
    distance, fov = torch.full((2,), 2.7), torch.full((2,), 30.0)
    cameras = Cameras.orbit(angles, torch.zeros(2), distance, fov)
    images = torch.zeros(2, 4, 64, 64)
    images[:, 3] = 1
    images[0, 0], images[1, 2] = 1, 1  # red, blue
    colors = image_colors(vertices, squares, images, cameras)
    assert colors is not None
    centers = vertices[squares].mean(axis=1)
    front, back = centers[:, 2] < -0.28, centers[:, 2] > 0.28
    assert front.sum() == back.sum() == 16
    assert (colors[front] == (255, 0, 0)).all()
    assert (colors[back] == (0, 0, 255)).all()
    # What no image shows has the colour of its nearest neighbour.
    near = ~front & (centers[:, 2] < -0.2)
    assert (colors[near] == (255, 0, 0)).all()


def test_what_no_image_shows_has_no_colours() -> None:
    vertices, squares = voxel_surface(blocks())
    images = torch.zeros(2, 4, 16, 16)
    assert image_colors(vertices, squares, images, shapenet_cameras([0, 5])) is None


def test_data_without_meshes_shows_its_voxels(ellipsoids: MultiViewDataset) -> None:
    for index in (0, 1, 3):
        shape = true_shape(ellipsoids, index)
        assert shape is not None
        assert shape.colors is not None
        assert not shape.lit
        assert iou(enclosed_voxels(shape.corners), ellipsoids.voxels(index)) == 1.0
        image = ellipsoids.images(index, [0])[0]
        plain = image[:3, image[3] == 255].float().mean(1).numpy()
        assert np.abs(shape.colors.astype(float) - plain).max() < 3
    text = describe_truth(ellipsoids)
    assert "no meshes" in text
    assert "32 along a side" in text


@pytest.fixture(scope="module")
def chairs(tmp_path_factory: pytest.TempPathFactory) -> MultiViewDataset:
    path: Path = tmp_path_factory.mktemp("chairs") / "chairs.h5"
    renderer = ObjectRenderer(32, supersample=1, triangles=512)
    prepare(as_images(ShapesSource(2, categories=["chair"]), renderer), path, workers=1)
    return MultiViewDataset(path)


def test_data_of_meshes_shows_their_triangles_where_the_voxels_are(
    chairs: MultiViewDataset,
) -> None:
    for index in range(2):
        shape = true_shape(chairs, index)
        assert shape is not None
        assert shape.lit
        assert shape.colors is not None
        assert len(shape.colors) == len(shape.vertices) == 3 * len(shape.corners)
        used = chairs.field(index, "triangles").float().abs().sum((1, 2)) > 0
        assert len(shape.corners) == int(used.sum()) < 512
        vertices = torch.from_numpy(shape.vertices)[None]
        faces = torch.arange(len(shape.vertices)).reshape(-1, 3)
        assert iou(voxelize_mesh(vertices, faces)[0], chairs.voxels(index)) > 0.97
    assert "more than 512 triangles" in describe_truth(chairs)


def test_data_without_any_shape_has_no_truth(tmp_path: Path) -> None:
    path = tmp_path / "pictures.h5"
    renderer = ObjectRenderer(16, supersample=1, voxel_resolutions=())
    prepare(as_images(ShapesSource(1, categories=["chair"]), renderer), path, workers=1)
    data = MultiViewDataset(path)
    assert true_shape(data, 0) is None
    assert "no truth is shown" in describe_truth(data)
