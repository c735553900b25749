"""Viewpoint and light are found from one picture, near the truth and from all around."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recon.camera_fitting import (
    Errors,
    Scene,
    Viewing,
    ViewingFitter,
    directions,
    grid_of_starts,
    viewing_losses,
)
from recon.meshes import Mesh, icosphere
from recon.soft_stages import SoftStage

COARSE = SoftStage(60, None, (3e-3, 3e-4), (0.1, 0.02), (0.1, 0.02))
FINE = SoftStage(40, None, (3e-4, 1e-5), (0.02, 0.005), (0.03, 0.001))


def lump() -> Mesh:
    """A smooth body without symmetries, so that light and viewpoint can be told."""
    sphere = icosphere(2)
    x, y, z = sphere.vertices.unbind(1)
    radius = 0.3 + 0.1 * x + 0.08 * y * z + 0.06 * torch.sin(3 * x + 1) - 0.07 * y
    vertices = sphere.vertices * radius[:, None] * torch.tensor([1.3, 0.8, 1.0])
    return Mesh(vertices, sphere.faces, torch.full((sphere.faces.shape[0], 3), 0.8))


def viewing(*rows: tuple[float, float, float, tuple[float, float, float]]) -> Viewing:
    azimuth, elevation, distance = (torch.tensor([row[i] for row in rows]) for i in range(3))
    return Viewing(azimuth, elevation, distance, torch.tensor([row[3] for row in rows]))


TRUTH = viewing(
    (40.0, 25.0, 2.5, (0.6, 0.6, -0.5)),
    (200.0, 5.0, 2.8, (-0.2, 0.5, 0.85)),
)


def moved(truth: Viewing, azimuth: float, elevation: float, factor: float) -> Viewing:
    return Viewing.with_light_above(
        truth.azimuth + azimuth, truth.elevation + elevation, truth.distance * factor
    )


def test_from_beside_the_truth_viewpoint_distance_and_light_are_found() -> None:
    scene = Scene(lump())
    start = moved(TRUTH, -25.0, 12.0, 1.15)
    before = Errors.between(start, TRUTH)
    fitted = ViewingFitter(scene, COARSE, FINE).fit(scene.picture(TRUTH, (32, 32)), start)
    after = Errors.between(fitted.viewing, TRUTH)
    assert before.view.min() > 20
    assert before.light.min() > 15
    assert after.view.max() < 3
    assert after.distance.max() < 0.03
    assert after.light.max() < 8
    assert torch.allclose(fitted.viewing.light.norm(dim=1), torch.ones(2))
    assert len(fitted.course) == 1 + 61 + 41 + 41 + 1


def test_from_all_around_a_viewing_is_found_without_a_guess() -> None:
    scene, truth = Scene(lump()), TRUTH[1:]
    starts = grid_of_starts(6, [0.0, 30.0], 2.6)
    fitter = ViewingFitter(scene, COARSE, FINE)
    fitted = fitter.search(scene.picture(truth, (32, 32))[0], starts, keep=2)
    error = Errors.between(fitted.viewing, truth)
    assert len(fitted.viewing) == 1
    assert error.view.item() < 4
    assert error.light.item() < 10
    assert all(len(one) == 1 for one in fitted.course)


def test_a_fine_stage_does_not_leave_the_truth_for_something_worse() -> None:
    scene = Scene(lump())
    wild = SoftStage(8, None, (1e-1, 1e-5), (0.5, 0.005), (0.3, 0.3))
    still = SoftStage(0, None, (1e-3, 1e-3), (0.1, 0.1), (0.1, 0.1))
    fitted = ViewingFitter(scene, still, wild).fit(scene.picture(TRUTH, (32, 32)), TRUTH)
    error = Errors.between(fitted.viewing, TRUTH)
    # It comes far away on its course, and takes nothing of that.
    assert Errors.between(fitted.course[-2], TRUTH).view.min() > 5
    assert torch.allclose(error.view, torch.zeros(2), atol=1e-3)
    assert torch.allclose(error.distance, torch.zeros(2), atol=1e-5)
    assert (fitted.loss <= fitted.fits[-1].history["total"][-1]).all()


def test_starts_which_end_in_one_place_are_refined_once() -> None:
    scene, quick = Scene(lump()), SoftStage(3, None, (1e-3, 1e-3), (0.1, 0.1), (0.01, 0.01))
    starts = grid_of_starts(4, [5.0], 2.6)
    twice = starts[torch.tensor([0, 0, 1, 1, 1, 2])]
    picture = scene.picture(TRUTH[1:], (24, 24))[0]
    fitted = ViewingFitter(scene, quick, quick).search(picture, twice, keep=6)
    assert [one.history["total"].shape[1] for one in fitted.fits[:3]] == [6, 3, 3]


def test_pictures_have_gradients_to_every_unknown() -> None:
    scene = Scene(lump())
    unknowns = [TRUTH.azimuth, TRUTH.elevation, TRUTH.distance, TRUTH.light]
    leaves = [value.clone().requires_grad_() for value in unknowns]
    weights = torch.rand(2, 4, 24, 24, generator=torch.Generator().manual_seed(0))

    def value(*parts: Tensor) -> Tensor:
        rgba = scene.render(Viewing(*parts), (24, 24), 1e-2, 0.5)
        # Where a face has next to no coverage its colour appears at once.
        return (torch.cat((rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]), 1) * weights).double().sum()

    gradients = torch.autograd.grad(value(*leaves), leaves)
    for index, (leaf, gradient) in enumerate(zip(leaves, gradients, strict=True)):
        step = torch.zeros_like(leaf)
        step[0] = 0.02 if leaf.dim() == 1 and index < 2 else 2e-3
        ahead, behind = (
            value(*(x + sign * step if k == index else x for k, x in enumerate(unknowns)))
            for sign in (1, -1)
        )
        expected = (ahead - behind).item() / 2
        assert (gradient * step).sum().item() == pytest.approx(expected, rel=0.05, abs=2e-4)


def test_losses_are_least_at_the_truth() -> None:
    scene = Scene(lump())
    image = scene.picture(TRUTH, (32, 32))

    def at(one: Viewing, exact: bool) -> dict[str, Tensor]:
        return viewing_losses(scene.render(one, (32, 32), 1e-5, 0.01, 2), image, exact=exact)

    for exact in (False, True):
        here = at(TRUTH, exact)
        turned = at(moved(TRUTH, 10, 0, 1), exact)
        assert (here["silhouette"] < turned["silhouette"]).all()
        assert (here["color"] < turned["color"]).all()


def test_errors_are_angles_and_ratios() -> None:
    one = viewing((0.0, 0.0, 2.0, (0.0, 1.0, 0.0)))
    other = viewing((30.0, 0.0, 2.2, (0.0, 3.0, 3.0)))
    over = viewing((-355.0, -7.0, 2.0, (0.0, 1.0, 0.0)))
    error = Errors.between(other, one)
    assert error.view.item() == pytest.approx(30, abs=1e-3)
    assert error.distance.item() == pytest.approx(0.1, abs=1e-6)
    assert error.light.item() == pytest.approx(45, abs=1e-3)
    assert error.azimuth.item() == pytest.approx(30)
    assert Errors.between(over, one).azimuth.item() == pytest.approx(5)
    assert Errors.between(one, over).azimuth.item() == pytest.approx(5)
    assert Errors.between(over, one).elevation.item() == pytest.approx(7)
    assert Errors.between(one, one).light.item() == 0


def test_directions_are_spread_over_the_sphere() -> None:
    around = directions(96)
    assert torch.allclose(around.norm(dim=1), torch.ones(96))
    assert around.mean(0).abs().max() < 0.02
    cosines = (around[:, None] * around[None]).sum(-1) - 2 * torch.eye(96)
    nearest = torch.rad2deg(torch.acos(cosines.amax(1)))
    assert nearest.min() > 12
    assert nearest.max() < 25


def test_the_light_of_a_start_falls_on_what_is_seen() -> None:
    starts = grid_of_starts(4, [0.0, 60.0], 2.5)
    assert len(starts) == 8
    eyes = torch.nn.functional.normalize(starts.eyes())
    assert (eyes * starts.light).sum(1).min() > math.cos(math.radians(45))


def test_bad_arguments() -> None:
    scene = Scene(lump())
    fitter = ViewingFitter(scene, COARSE, FINE)
    with pytest.raises(ValueError, match="colours of faces"):
        Scene(icosphere(1))
    with pytest.raises(ValueError, match="directional must be > 0"):
        Scene(lump(), directional=0.0)
    with pytest.raises(ValueError, match=r"images must be \[2, 4, H, W\]"):
        fitter.fit(torch.zeros(1, 4, 8, 8), TRUTH)
    with pytest.raises(ValueError, match="shows nothing"):
        fitter.fit(torch.zeros(2, 4, 8, 8), TRUTH)
    with pytest.raises(ValueError, match=r"light must be \[1, 3\]"):
        Viewing(torch.zeros(1), torch.zeros(1), torch.ones(1), torch.zeros(3))
    with pytest.raises(ValueError, match=r"elevation must be \[1\]"):
        Viewing(torch.zeros(1), torch.zeros(2), torch.ones(1), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="must be starts"):
        grid_of_starts(0, [0.0], 2.0)
