from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.preparation.rendering.texturing import Hits, Textures, interpolate, locate
from renderer_cuda import visible_faces

UVS = np.array([[0.0, 0], [1, 0], [0, 1]], np.float32)


def surface(**changes: Any) -> TexturedMesh:
    """Three faces: with a texture of 2 x 3 texels, with none, and with one of a single texel."""
    wide = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) + 100
    fields: dict[str, Any] = {
        "vertices": np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]),
        "faces": np.array([[0, 1, 2]] * 3),
        "face_rgba": np.ones((3, 4), np.float32),
        "face_objects": np.zeros(3, np.int64),
        "uvs": np.stack([UVS, UVS * np.float32("nan"), UVS]),
        "face_texture": np.array([1, -1, 0]),
        "textures": (np.full((1, 1, 4), 9, np.uint8), wide),
    }
    return TexturedMesh(**{**fields, **changes})


def hits(faces: list[int], points: list[tuple[float, float]]) -> Hits:
    """Places on faces, by their texture coordinates."""
    u, v = torch.tensor(points).unbind(1)
    return Hits(torch.tensor(faces, dtype=torch.int32), [1 - u - v, u, v])


def test_texels_are_found_from_the_upper_left() -> None:
    found = Textures(surface()).look_up(
        hits([0, 0, 0, 2], [(0.1, 0.1), (0.1, 0.6), (0.5, 0.2), (0.9, 0)])
    )
    assert found[:, 0].tolist() == [112, 100, 116, 9]
    assert found.dtype == torch.uint8


def test_textures_repeat() -> None:
    shifted = surface(uvs=np.stack([UVS + np.float32([3, -2]), UVS * np.float32("nan"), UVS]))
    places = hits([0, 0, 0], [(0.1, 0.1), (0.1, 0.6), (0.5, 0.2)])
    assert torch.equal(Textures(shifted).look_up(places), Textures(surface()).look_up(places))


@pytest.mark.parametrize("corner", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_borders_of_a_texture_are_inside_it(corner: tuple[float, float]) -> None:
    assert 100 <= int(Textures(surface()).look_up(hits([0], [corner]))[0, 0]) < 124


def test_holes_are_told() -> None:
    clear = np.full((2, 2, 4), 255, np.uint8)
    clear[0, 0, 3] = 12
    textures = Textures(surface(textures=(clear, np.full((1, 1, 4), 13, np.uint8))))
    assert textures.textured.tolist() == [True, False, True]
    assert textures.holed.tolist() == [False, False, True]


def test_places_are_those_of_the_world_in_perspective() -> None:
    # A slanted triangle, as an eye at the origin sees it along +z.
    corners = torch.tensor(
        [[-0.91, -0.83, 1.5], [3.1, -1.2, 4.0], [0.32, 1.9, 2.5]], dtype=torch.float64
    )
    projected = corners.clone()
    projected[:, :2] /= corners[:, 2:]
    for order in ([0, 1, 2], [2, 1, 0]):
        seen = visible_faces(projected[order][None, None].float(), (40, 60))[0]
        samples = (seen.view(-1) >= 0).nonzero().squeeze(1)
        assert len(samples) > 100
        found = locate(projected[order][None].float(), seen, samples)
        weights = torch.stack(list(found.weights))
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(0), torch.ones(len(samples)))
        world = weights.t().double() @ corners[order]
        x = (2 * (samples % 60) + 1 - 60) / 40
        y = (39 - 2 * (samples // 60)) / 40
        torch.testing.assert_close(world[:, 0] / world[:, 2], x.double(), atol=1e-5, rtol=0)
        torch.testing.assert_close(world[:, 1] / world[:, 2], y.double(), atol=1e-5, rtol=0)
        depth = interpolate(corners[order][:, 2].float()[:, None], found)
        torch.testing.assert_close(depth.double(), world[:, 2], atol=1e-5, rtol=0)
