"""Refined meshes fit their masks better, stay near what they were, and do not know each other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recon.geometry.cameras import Cameras, shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.geometry.mirror import mirror_pairs, mirror_vertices
from recon.inference.refinement import Refinement
from recon.losses.silhouette import silhouette_iou_loss
from recon.rendering.renderer import SoftRenderer

BALL = icosphere(2)


def make_case() -> tuple[Tensor, Tensor, Cameras]:
    """Spheres that should be ellipsoids, symmetric at x = 0, and the masks of these."""
    cameras = shapenet_cameras([1, 9])
    stretch = torch.tensor([[1.0, 1.15, 1.0], [1.15, 0.9, 1.0]])
    truth = 0.3 * BALL.vertices * stretch[:, None]
    masks = (SoftRenderer(32, sigma=1e-7).silhouette(truth, BALL.faces, cameras) > 0.5).float()
    return (0.3 * BALL.vertices).expand(2, -1, -1), masks, cameras


def losses(vertices: Tensor, masks: Tensor, cameras: Cameras) -> Tensor:
    drawn = SoftRenderer(32, sigma=1e-5).silhouette(vertices, BALL.faces, cameras)
    return silhouette_iou_loss(drawn, masks, reduction="none")


def test_meshes_fit_their_masks_better_and_have_moved_a_little() -> None:
    vertices, masks, cameras = make_case()
    refined = Refinement(steps=15)(vertices, BALL.faces, masks, cameras)
    assert (losses(refined, masks, cameras) < 0.8 * losses(vertices, masks, cameras)).all()
    # Adam moves a coordinate by about its learning rate in a step.
    assert 0 < float((refined - vertices).abs().max()) < 2 * 15 * 0.002
    assert not refined.requires_grad


def test_a_symmetric_mesh_stays_symmetric_only_with_its_mirror_image() -> None:
    vertices, masks, cameras = make_case()
    pairs = mirror_pairs(BALL.vertices)
    gaps = []
    for mirror in (True, False):
        refined = Refinement(steps=5, mirror=mirror)(vertices, BALL.faces, masks, cameras)
        gaps.append(float((mirror_vertices(refined)[:, pairs] - refined).abs().max()))
    assert gaps[0] < 1e-3 < gaps[1]


def test_one_mesh_of_a_batch_does_not_depend_on_the_others() -> None:
    vertices, masks, cameras = make_case()
    both = Refinement(steps=3)(vertices, BALL.faces, masks, cameras)
    alone = Refinement(steps=3)(vertices[1:], BALL.faces, masks[1:], cameras[torch.tensor([1])])
    torch.testing.assert_close(alone, both[1:], atol=1e-5, rtol=0)


def test_no_steps_change_nothing_and_predictions_without_gradients_are_taken() -> None:
    vertices, masks, cameras = make_case()
    assert torch.equal(Refinement(steps=0)(vertices, BALL.faces, masks, cameras), vertices)
    with torch.inference_mode():
        made = vertices * 1
        refined = Refinement(steps=2)(made, BALL.faces, masks, cameras)
    assert not torch.equal(refined, vertices)


def test_bad_numbers_and_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"steps must be >= 0 and lr > 0, got -1 and 0\.002"):
        Refinement(steps=-1)
    with pytest.raises(ValueError, match="lr > 0, got 15 and 0"):
        Refinement(lr=0.0)
    vertices, masks, cameras = make_case()
    with pytest.raises(ValueError, match=r"of as many images, got \[2, 162, 3\], \[1, 32, 32\]"):
        Refinement()(vertices, BALL.faces, masks[:1], cameras)
