from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recon.geometry.cameras import Cameras
from recon.geometry.meshes import icosphere
from recon.geometry.voxels import voxelize_mesh
from recon.preparation.checks.visual_hull import (
    HALF_DIAGONAL,
    agreement,
    axis_order_scores,
    axis_order_text,
    boundaries,
    visual_hull,
    voxel_centers,
    voxel_silhouettes,
    voxel_surface,
)
from recon.rendering.renderer import SoftRenderer


def orbit(views: int = 8, fov: float = 35.0) -> Cameras:
    index = torch.arange(views, dtype=torch.float32)
    ones = torch.ones(views)
    elevation = torch.tensor([-20.0, 15.0, 50.0])[torch.arange(views) % 3]
    return Cameras.orbit(360 * index / views, elevation, 2.5 * ones, fov * ones)


def ball_masks(cameras: Cameras, radius: float, size: tuple[int, int] = (48, 64)) -> Tensor:
    ball = icosphere(3)
    renderer = SoftRenderer(size, sigma=1e-8, alpha="hard")
    vertices = (radius * ball.vertices).expand(len(cameras), -1, -1)
    return renderer.silhouette(vertices, ball.faces, cameras) > 0.5


def corner_grid() -> Tensor:
    """A grid which no turn or reflection of the cube leaves as it is."""
    voxels = torch.zeros(16, 16, 16, dtype=torch.bool)
    voxels[2:14, 2:6, 2:4] = True
    voxels[2:4, 2:13, 2:4] = True
    voxels[2:4, 2:6, 2:9] = True
    return voxels


def test_outermost_centres_are_at_one_half() -> None:
    centers = voxel_centers(5)
    assert centers.shape == (5, 5, 5, 3)
    assert centers[0, 4, 2].tolist() == [-0.5, 0.5, 0.0]
    assert voxel_centers(1).tolist() == [[[[0, 0, 0]]]]


def test_the_hull_of_a_balls_masks_holds_the_ball_and_little_more() -> None:
    cameras = orbit(12)
    hull = visual_hull(ball_masks(cameras, 0.35), cameras, 24)
    distance = voxel_centers(24).norm(dim=-1)
    assert hull[distance < 0.33].all()
    assert not hull[distance > 0.45].any()


def test_reach_keeps_what_is_thinner_than_a_voxel() -> None:
    cameras = orbit()
    masks = ball_masks(cameras, 0.04)
    assert not visual_hull(masks, cameras, 8).any()
    assert visual_hull(masks, cameras, 8, reach=HALF_DIAGONAL)[3:5, 3:5, 3:5].any()


def test_only_views_that_see_a_voxel_decide() -> None:
    cameras = orbit(4, fov=10.0)  # too narrow for the corners
    hull = visual_hull(torch.ones(4, 16, 16, dtype=torch.bool), cameras, 8)
    assert hull[3:5, 3:5, 3:5].all()
    assert not hull[0, 0, 0]  # seen by none
    behind = Cameras(cameras.rotation, -cameras.translation, cameras.focal, cameras.center)
    assert not visual_hull(torch.ones(4, 16, 16, dtype=torch.bool), behind, 8).any()


def test_an_empty_mask_leaves_nothing() -> None:
    cameras = orbit(3, fov=60.0)
    masks = torch.ones(3, 16, 16, dtype=torch.bool)
    masks[1] = False
    hull = visual_hull(masks, cameras, 8)
    assert not hull.any()
    assert agreement(hull, masks, cameras).tolist() == [0, 0, 0]
    assert not voxel_silhouettes(hull, cameras, 16).any()


def test_surface_of_voxels_is_closed_and_faces_between_them_are_not_drawn() -> None:
    voxels = torch.zeros(3, 3, 3, dtype=torch.bool)
    voxels[0, 1, 1] = voxels[1, 1, 1] = True
    vertices, faces = voxel_surface(voxels)
    assert (len(vertices), len(faces)) == (12, 20)
    assert vertices.amin(0).tolist() == [-0.75, -0.25, -0.25]
    assert vertices.amax(0).tolist() == [0.25, 0.25, 0.25]
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).sort(dim=1).values
    assert (edges.unique(dim=0, return_counts=True)[1] == 2).all()


def test_silhouettes_of_voxels_are_those_of_their_box() -> None:
    voxels = torch.zeros(9, 9, 9, dtype=torch.bool)
    voxels[4, 4, 4] = True  # a cube of side 1/8
    drawn = voxel_silhouettes(
        voxels, Cameras.orbit(*torch.tensor([[0.0], [0], [2], [90]])), (64, 96)
    )
    # Its front is 2 - 1/16 away, so its half side is tan(45) * 32 * (1/16) / (31/16) pixels.
    assert drawn[0].nonzero().amin(0).tolist() == [31, 47]
    assert drawn[0].nonzero().amax(0).tolist() == [32, 48]


def test_boundaries_touch_the_outside() -> None:
    masks = torch.zeros(1, 5, 6, dtype=torch.bool)
    masks[0, 1:4, 2:6] = True
    assert boundaries(masks)[0].int().tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 1, 1],
        [0, 0, 1, 0, 0, 1],
        [0, 0, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("axes", [(0.45, 0.3, 0.1), (0.45, 0.03, 0.02)])
def test_voxels_agree_with_masks_of_their_object_however_thin(axes: tuple[float, ...]) -> None:
    cameras = orbit()
    ball = icosphere(3)
    vertices = ball.vertices * torch.tensor(axes)
    renderer = SoftRenderer((96, 128), sigma=1e-8, alpha="hard")
    masks = renderer.silhouette(vertices.expand(8, -1, -1), ball.faces, cameras) > 0.5
    voxels = voxelize_mesh(vertices[None], ball.faces, 32)[0]
    assert agreement(voxels, masks, cameras).min() > 0.9
    assert agreement(voxels.transpose(0, 2), masks, cameras).mean() < 0.7


def test_axis_orders_find_the_turn_of_a_grid() -> None:
    voxels = corner_grid()
    scores = axis_order_scores(voxels, voxels)
    assert scores[0] == 1.0
    assert scores.shape == (48,)
    assert (scores[1:] < 1.0).all()
    assert axis_order_text(0) == "[x, y, z]"
    # Axes that were stored as [y, x, -z], as in some public files.
    stored = voxels.permute(1, 0, 2).flip(2)
    assert axis_order_text(int(axis_order_scores(stored, voxels).argmax())) == "[y, x, -z]"
    stored = voxels.permute(2, 0, 1).flip(0)
    assert axis_order_text(int(axis_order_scores(stored, voxels).argmax())) == "[-z, x, y]"


def test_bad_arguments_are_named() -> None:
    cameras, masks = orbit(2), torch.ones(2, 4, 4, dtype=torch.bool)
    grid = torch.ones(4, 4, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"masks must be bool \[K, H, W\] for 2 cameras, got"):
        visual_hull(masks.float(), cameras, 4)
    with pytest.raises(ValueError, match=r"masks must be .* \(1, 4, 4\)"):
        agreement(grid, masks[:1], cameras)
    with pytest.raises(ValueError, match="resolution must be >= 1 and reach >= 0, got 0"):
        visual_hull(masks, cameras, 0)
    with pytest.raises(ValueError, match=r"voxels must be bool \[R, R, R\], got torch.float32"):
        voxel_surface(grid.float())
    with pytest.raises(ValueError, match="must agree"):
        axis_order_scores(grid, grid[:2])
