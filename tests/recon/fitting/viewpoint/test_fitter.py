"""Viewpoint and light are found from one image, near the truth and from all around."""

from __future__ import annotations

import pytest
import torch

from recon.fitting.stages import SoftStage
from recon.fitting.viewpoint.fitter import ViewpointFitter
from recon.fitting.viewpoint.shaded_mesh import ShadedMesh
from recon.fitting.viewpoint.viewpoints import ViewpointErrors, Viewpoints, grid_of_starts
from recon.geometry.meshes import Mesh, icosphere

COARSE = SoftStage(60, None, (3e-3, 3e-4), (0.1, 0.02), (0.1, 0.02))
FINE = SoftStage(40, None, (3e-4, 1e-5), (0.02, 0.005), (0.03, 0.001))


def lump() -> Mesh:
    """A smooth body without symmetries, so that light and viewpoint can be told."""
    sphere = icosphere(2)
    x, y, z = sphere.vertices.unbind(1)
    radius = 0.3 + 0.1 * x + 0.08 * y * z + 0.06 * torch.sin(3 * x + 1) - 0.07 * y
    vertices = sphere.vertices * radius[:, None] * torch.tensor([1.3, 0.8, 1.0])
    return Mesh(vertices, sphere.faces, torch.full((sphere.faces.shape[0], 3), 0.8))


def viewpoints(*rows: tuple[float, float, float, tuple[float, float, float]]) -> Viewpoints:
    azimuth, elevation, distance = (torch.tensor([row[i] for row in rows]) for i in range(3))
    return Viewpoints(azimuth, elevation, distance, torch.tensor([row[3] for row in rows]))


TRUTH = viewpoints(
    (40.0, 25.0, 2.5, (0.6, 0.6, -0.5)),
    (200.0, 5.0, 2.8, (-0.2, 0.5, 0.85)),
)


def moved(truth: Viewpoints, azimuth: float, elevation: float, factor: float) -> Viewpoints:
    return Viewpoints.with_light_above(
        truth.azimuth + azimuth, truth.elevation + elevation, truth.distance * factor
    )


def test_from_beside_the_truth_viewpoint_distance_and_light_are_found() -> None:
    scene = ShadedMesh(lump())
    start = moved(TRUTH, -25.0, 12.0, 1.15)
    before = ViewpointErrors.between(start, TRUTH)
    fitted = ViewpointFitter(scene, COARSE, FINE).fit(scene.image(TRUTH, (32, 32)), start)
    after = ViewpointErrors.between(fitted.state, TRUTH)
    assert before.view.min() > 20
    assert before.light.min() > 15
    assert after.view.max() < 3
    assert after.distance.max() < 0.03
    assert after.light.max() < 8
    assert torch.allclose(fitted.state.light.norm(dim=1), torch.ones(2))
    assert len(fitted.trajectory) == 1 + 61 + 41 + 41 + 1


def test_from_all_around_a_viewpoint_is_found_without_a_guess() -> None:
    scene, truth = ShadedMesh(lump()), TRUTH[1:]
    starts = grid_of_starts(6, [0.0, 30.0], 2.6)
    fitter = ViewpointFitter(scene, COARSE, FINE)
    fitted = fitter.search(scene.image(truth, (32, 32))[0], starts, keep=2)
    error = ViewpointErrors.between(fitted.state, truth)
    assert len(fitted.state) == 1
    assert error.view.item() < 4
    assert error.light.item() < 10
    assert all(len(one) == 1 for one in fitted.trajectory)


def test_a_fine_stage_does_not_leave_the_truth_for_something_worse() -> None:
    scene = ShadedMesh(lump())
    wild = SoftStage(8, None, (1e-1, 1e-5), (0.5, 0.005), (0.3, 0.3))
    still = SoftStage(0, None, (1e-3, 1e-3), (0.1, 0.1), (0.1, 0.1))
    fitted = ViewpointFitter(scene, still, wild).fit(scene.image(TRUTH, (32, 32)), TRUTH)
    error = ViewpointErrors.between(fitted.state, TRUTH)
    # It comes far away on its way, and takes nothing of that.
    assert ViewpointErrors.between(fitted.trajectory[-2], TRUTH).view.min() > 5
    assert torch.allclose(error.view, torch.zeros(2), atol=1e-3)
    assert torch.allclose(error.distance, torch.zeros(2), atol=1e-5)
    assert (fitted.loss <= fitted.fits[-1].history["total"][-1]).all()


def test_starts_which_end_in_one_place_are_refined_once() -> None:
    scene, quick = ShadedMesh(lump()), SoftStage(3, None, (1e-3, 1e-3), (0.1, 0.1), (0.01, 0.01))
    starts = grid_of_starts(4, [5.0], 2.6)
    twice = starts[torch.tensor([0, 0, 1, 1, 1, 2])]
    image = scene.image(TRUTH[1:], (24, 24))[0]
    fitted = ViewpointFitter(scene, quick, quick).search(image, twice, keep=6)
    assert [one.history["total"].shape[1] for one in fitted.fits[:3]] == [6, 3, 3]


def test_bad_arguments() -> None:
    fitter = ViewpointFitter(ShadedMesh(lump()), COARSE, FINE)
    with pytest.raises(ValueError, match=r"images must be \[2, 4, H, W\]"):
        fitter.fit(torch.zeros(1, 4, 8, 8), TRUTH)
    with pytest.raises(ValueError, match="shows nothing"):
        fitter.fit(torch.zeros(2, 4, 8, 8), TRUTH)
