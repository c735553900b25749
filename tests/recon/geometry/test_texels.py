"""The layout of surface textures, against the rasterizer which looks them up."""

from __future__ import annotations

import pytest
import torch

from recon.geometry.meshes import edges, icosphere
from recon.geometry.texels import texel_at, texel_centers, texel_faces, texture_side, turned_texels
from renderer_cuda import soft_rasterize


@pytest.mark.parametrize("side", [1, 2, 3, 7])
def test_centers_lie_in_their_texels(side: int) -> None:
    centers = texel_centers(side)
    assert centers.shape == (side * side, 3)
    assert float(centers.min()) > 0
    torch.testing.assert_close(centers.sum(1), torch.ones(side * side, dtype=torch.float64))
    assert texel_at(centers[:, :2], side).tolist() == list(range(side * side))
    # Texels have equal areas, so that their centres have the mean of the face.
    torch.testing.assert_close(centers.mean(0), torch.full((3,), 1 / 3, dtype=torch.float64))


@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_the_rasterizer_shows_the_texels_which_we_name(side: int) -> None:
    corners = torch.tensor([[-0.93, -0.81, 2.0], [0.97, -0.62, 2.0], [-0.11, 0.9, 2.0]])
    codes = torch.arange(side * side, dtype=torch.float64) / side**2
    textures = codes[None, None, :, None].expand(1, 1, -1, 3)
    size = 61
    image = soft_rasterize(
        corners[None, None].double(), textures, size, distance="hard", alpha="hard", color="hard",
        texture="surface",
    )[0]  # fmt: skip
    inside = image[3] > 0.5
    row, column = inside.nonzero().unbind(1)
    points = torch.stack(((2 * column + 1 - size) / size, (size - 2 * row - 1) / size), dim=1)
    matrix = torch.cat((corners[:, :2].T, torch.ones(1, 3))).double()
    ones = torch.ones(1, len(points), dtype=torch.float64)
    weights = torch.linalg.solve(matrix, torch.cat((points.T.double(), ones))).T
    expected = codes[texel_at(weights[:, :2].clamp(0, 1), side)]
    assert len(expected) > 500
    torch.testing.assert_close(image[0][inside], expected)


def test_points_on_the_outline_belong_to_some_texel() -> None:
    for side in (1, 2, 5):
        steps = torch.linspace(0, 1, 4 * side + 1, dtype=torch.float64)
        edge = torch.stack((steps, 1 - steps), dim=1)
        for points in (edge, edge * torch.tensor([1, 0]), edge * torch.tensor([0, 1])):
            texels = texel_at(points, side)
            assert 0 <= int(texels.min()) <= int(texels.max()) < side * side


def test_texels_must_be_a_square() -> None:
    assert [texture_side(n) for n in (1, 4, 49)] == [1, 2, 7]
    for number in (0, 2, 8, -4):
        with pytest.raises(ValueError, match="must be R"):
            texture_side(number)


@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_texels_are_triangles_of_a_closed_finer_mesh(side: int) -> None:
    faces = icosphere(0).faces
    finer = texel_faces(faces, side)
    assert finer.shape == (20 * side**2, 3)
    # Euler: every edge of a closed mesh has two faces, and V - E + F = 2.
    pairs = edges(finer)
    assert len(pairs) == 30 * side**2
    assert int(finer.max()) + 1 - len(pairs) + len(finer) == 2
    # Each directed edge occurs once, so all triangles are wound alike.
    directed = torch.cat([finer[:, [0, 1]], finer[:, [1, 2]], finer[:, [2, 0]]])
    assert len(torch.unique(directed, dim=0)) == len(directed)


@pytest.mark.parametrize("side", [1, 3, 4])
def test_corners_of_texels_surround_their_centers(side: int) -> None:
    """On one face the points of the finer mesh are found from the centres alone."""
    finer = texel_faces(torch.tensor([[0, 1, 2]]), side)
    centers = texel_centers(side)
    # Least squares: which weights of the points have the centres as means of three?
    incidence = torch.zeros(len(finer), int(finer.max()) + 1, dtype=torch.float64)
    incidence.scatter_(1, finer, 1 / 3)
    lattice = torch.tensor(
        [[a, b, side - a - b] for a in range(side + 1) for b in range(side + 1 - a)]
    ).double()
    assert incidence.shape[1] == len(lattice)
    # Points are numbered in the order of their names, so match them by what they touch.
    fitted = torch.linalg.lstsq(incidence, centers * side, driver="gelsd").solution
    torch.testing.assert_close(incidence @ fitted, centers * side)


def test_texels_of_turned_faces_stay_in_place() -> None:
    texels = torch.arange(9.0).reshape(1, 9, 1).expand(2, 9, 3).clone()
    turned = turned_texels(texels)
    assert torch.equal(turned_texels(turned), texels)
    # Of 3 x 3 texels the first lies at the third corner, which becomes the first.
    corner = int(turned[0, :, 0].tolist().index(0.0))
    assert corner == 2
