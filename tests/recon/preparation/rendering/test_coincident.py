"""Two faces in one place: told apart from neighbours, folds and faces of one colour."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.geometry.meshes import icosphere
from recon.preparation.rendering.coincident import has_two_sided_faces
from recon.preparation.rendering.objects import ObjectRenderer
from recon.preparation.rendering.points import encloses
from recon.preparation.sources.shapes import make_shape

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 1]], np.float32)


@pytest.mark.parametrize(
    ("faces", "two_sided"),
    [
        ([[0, 1, 2], [2, 1, 0]], True),
        ([[0, 1, 2], [0, 2, 1]], True),
        ([[0, 1, 2], [0, 2, 3], [3, 2, 1], [3, 1, 0]], True),  # cut along the other diagonal
        ([[0, 1, 2], [0, 1, 2]], False),  # not turned to the other side
        ([[0, 1, 2], [0, 2, 3]], False),
        ([[0, 1, 2], [0, 3, 2]], False),  # opposite, but beside each other
        ([[0, 1, 2], [1, 0, 4]], False),
        ([[0, 1, 2]], False),
    ],
)
def test_pairs_of_faces(faces: list[list[int]], two_sided: bool) -> None:
    rows = np.array(faces)
    count = len(rows)
    colors = np.eye(4, 3, dtype=np.float32)[:count]
    plain = np.zeros(count, np.bool_)
    assert has_two_sided_faces(SQUARE, rows, colors, plain) == two_sided
    same = np.full((count, 3), 0.5, np.float32)
    assert not has_two_sided_faces(SQUARE, rows, same, plain)
    assert has_two_sided_faces(SQUARE, rows, same, ~plain) == two_sided
    loose = np.arange(3 * count).reshape(-1, 3)  # corners of their own
    corners = SQUARE[rows].reshape(-1, 3)
    assert has_two_sided_faces(corners, loose, colors, plain) == two_sided


def ball(inner_first: bool) -> TexturedMesh:
    """Red outside and white inside, every face there twice and its corners in another order."""
    solid = icosphere(2)
    outside = solid.faces.numpy()
    inside = np.roll(outside[:, ::-1], 1, axis=1)
    red = np.tile(np.array([1, 0, 0, 1], np.float32), (len(outside), 1))
    parts = [(outside, red), (inside, np.ones_like(red))][:: -1 if inner_first else 1]
    return TexturedMesh(
        vertices=solid.vertices.double().numpy() / 2,
        faces=np.concatenate([faces for faces, _ in parts]),
        face_rgba=np.concatenate([rgba for _, rgba in parts]),
        face_objects=np.zeros(2 * len(outside), np.int64),
    )


def covered(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colours [N, 3] of pixels that are covered."""
    return images.transpose(0, 2, 3, 1)[images[:, 3] == 255][:, :3]


@pytest.mark.parametrize("inner_first", [False, True])
def test_the_side_towards_the_eye_is_seen(inner_first: bool) -> None:
    renderer = ObjectRenderer(32, supersample=2, triangles=128)
    arrays = renderer(ball(inner_first), "a")
    assert np.unique(covered(arrays["images"]), axis=0).tolist() == [[255, 0, 0]]
    # The triangles that are kept show both sides: as many red ones as white ones.
    colors = arrays["triangle_colors"][:, 0].tolist()
    shown = arrays["triangles"].any(axis=(1, 2))
    assert 0 < sum(color == [255, 0, 0] for color in colors) == shown.sum() / 2


def test_through_an_opening_the_inner_side_is_seen() -> None:
    whole = ball(True)
    middles = whole.vertices[whole.faces].mean(axis=1)
    bowl = whole.select(middles[:, 1] < 0.3)  # open at the top
    colors = covered(ObjectRenderer(32, supersample=2)(bowl, "a")["images"])
    assert {(255, 0, 0), (255, 255, 255)} <= set(map(tuple, colors.tolist()))


def test_inside_and_outside_of_a_shell_of_two_sides() -> None:
    solid = icosphere(3)
    vertices = solid.vertices * 0.45
    points = (np.random.default_rng(0).random((5000, 3)) - 0.5).astype(np.float16)
    single = encloses(points, vertices, solid.faces)
    both = encloses(points, vertices, torch.cat((solid.faces, solid.faces.flip(1))))
    assert single.any()
    assert np.array_equal(single, both)


def test_solids_whose_parts_touch_look_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contact faces are hidden, and at outlines no other face takes the place of the nearest."""
    car = make_shape("car", seed=0, index=2)
    renderer = ObjectRenderer(64, supersample=2, maps=("shading", "depth", "normals"))
    flags: list[bool] = []

    def flagged(*arrays: NDArray[np.generic]) -> bool:
        flags.append(has_two_sided_faces(*arrays))
        return False

    with_both = renderer(car, "a")
    monkeypatch.setattr("recon.preparation.rendering.objects.has_two_sided_faces", flagged)
    plain = renderer(car, "a")
    assert flags == [True]
    for name in ("images", "shading", "depth", "normals"):
        assert np.array_equal(with_both[name], plain[name])
