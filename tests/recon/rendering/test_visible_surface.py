from __future__ import annotations

import torch
from torch import Tensor

from recon.rendering.visible_surface import (
    SumByIndex,
    barycentric_at,
    corners_of,
    count_up,
    faces_near_pixels,
    mix_colors,
    seen_faces,
    squared_edge_distance,
)
from renderer_cuda import visible_faces
from renderer_cuda.reference import pixel_centers


def random_faces(batch: int = 2, count: int = 6, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(batch, count, 3, 3, generator=generator, dtype=dtype)
    return corners * torch.tensor([1.6, 1.6, 2.0]) - torch.tensor([0.8, 0.8, -2.0])


def test_faces_are_those_of_the_rasterizer_numbered_through_the_batch() -> None:
    corners = random_faces()
    seen = seen_faces(corners, (8, 12), 1.0, 100.0, True)
    expected = visible_faces(corners, (8, 12))
    assert torch.equal(seen[0], expected[0].long())
    covered = expected[1] >= 0
    assert covered.any()
    assert (~covered).any()
    assert torch.equal(seen[1], torch.where(covered, expected[1].long() + 6, -1))


def test_corners_are_those_of_the_faces() -> None:
    corners = random_faces()
    taken = corners_of(corners, torch.tensor([7, 0, 7]))
    assert torch.equal(taken, torch.stack([corners[1, 1], corners[0, 0], corners[1, 1]]))
    assert corners_of(corners, torch.zeros(0, dtype=torch.int64)).shape == (0, 3, 3)


def test_barycentric_coordinates_give_the_point_back() -> None:
    corners = random_faces()[0]
    points = torch.rand(6, 2, dtype=torch.float64)
    weights = barycentric_at(points, corners)
    torch.testing.assert_close(weights.sum(-1), torch.ones(6, dtype=torch.float64))
    torch.testing.assert_close((weights[..., None] * corners[..., :2]).sum(1), points)


def test_colors_are_mixed_in_the_image_or_on_the_face() -> None:
    # The middle of an edge from depth 1 to depth 3 in the image is a quarter of the way on it.
    corners = torch.tensor([[[0.0, 0.0, 1.0], [1.0, 0.0, 3.0], [0.0, 1.0, 1.0]]])
    colors = torch.tensor([[[0.0], [1.0], [0.0]]])
    weights = torch.tensor([[0.5, 0.5, 0.0]])
    assert mix_colors(weights, corners, colors, False).item() == 0.5
    assert mix_colors(weights, corners, colors, True).item() == 0.25


def test_sums_by_index_and_their_gradient() -> None:
    rows = torch.rand(5, 2, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([3, 0, 3, 1, 3])
    sums = SumByIndex.apply(rows, index, 4)
    expected = torch.stack([rows[1], rows[3], rows[0] * 0, rows[0] + rows[2] + rows[4]])
    torch.testing.assert_close(sums, expected)
    assert torch.autograd.gradcheck(lambda x: SumByIndex.apply(x, index, 4), rows)


def test_counting_up() -> None:
    owners, numbers = count_up(torch.tensor([2, 0, 3]))
    assert owners.tolist() == [0, 0, 2, 2, 2]
    assert numbers.tolist() == [0, 1, 0, 1, 2]


def test_faces_near_pixels_are_those_of_the_grown_boxes() -> None:
    corners, (height, width), radius = random_faces(), (9, 14), 0.15
    generator = torch.Generator().manual_seed(5)
    wanted = torch.rand(2, height, width, generator=generator) < 0.3
    reaching = torch.rand(2, 6, generator=generator) < 0.7
    faces, pixels = faces_near_pixels(corners, wanted, reaching, radius)
    centers = pixel_centers(height, width, dtype=torch.float64)
    low = corners[..., :2].amin(2)[:, :, None] - radius
    high = corners[..., :2].amax(2)[:, :, None] + radius
    within = ((centers >= low) & (centers <= high)).all(-1)  # [B, F, H * W]
    expected = within & wanted.flatten(1)[:, None] & reaching[..., None]
    image, face, pixel = expected.nonzero(as_tuple=True)
    pairs = zip((image * 6 + face).tolist(), (image * height * width + pixel).tolist(), strict=True)
    assert set(pairs) == set(zip(faces.tolist(), pixels.tolist(), strict=True))
    assert len(faces) == int(expected.sum()) > 20


def test_distances_to_edges_are_those_to_their_nearest_points() -> None:
    corners = random_faces()[0]
    points = torch.rand(6, 2, dtype=torch.float64) * 2 - 1
    steps = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None]
    for point, face, square in zip(
        points, corners, squared_edge_distance(points, corners), strict=True
    ):
        starts = face[:, None, :2]
        along = starts + steps * (face[[1, 2, 0], None, :2] - starts)
        assert abs((along - point).square().sum(-1).min() - square) < 1e-5
