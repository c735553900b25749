"""Renderings have gradients to viewpoint and light, and losses are least at the truth."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recon.fitting.viewpoint.shaded_mesh import ShadedMesh, viewpoint_losses
from recon.fitting.viewpoint.viewpoints import Viewpoints
from recon.geometry.meshes import Mesh, icosphere

TRUTH = Viewpoints(
    azimuth=torch.tensor([40.0, 200.0]),
    elevation=torch.tensor([25.0, 5.0]),
    distance=torch.tensor([2.5, 2.8]),
    light=torch.tensor([[0.6, 0.6, -0.5], [-0.2, 0.5, 0.85]]),
)


def egg() -> Mesh:
    sphere = icosphere(2)
    vertices = sphere.vertices * torch.tensor([0.4, 0.2, 0.3])
    return Mesh(vertices, sphere.faces, torch.full((sphere.num_faces, 3), 0.8))


def test_images_have_gradients_to_every_unknown() -> None:
    scene = ShadedMesh(egg())
    unknowns = [TRUTH.azimuth, TRUTH.elevation, TRUTH.distance, TRUTH.light]
    leaves = [value.clone().requires_grad_() for value in unknowns]
    weights = torch.rand(2, 4, 24, 24, generator=torch.Generator().manual_seed(0))

    def value(*parts: Tensor) -> Tensor:
        rgba = scene.render(Viewpoints(*parts), (24, 24), 1e-2, 0.5)
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
    scene = ShadedMesh(egg())
    azimuth = TRUTH.azimuth + 10
    image = scene.image(TRUTH, (32, 32))

    def at(one: Viewpoints, exact: bool) -> dict[str, Tensor]:
        return viewpoint_losses(scene.render(one, (32, 32), 1e-5, 0.01, 2), image, exact=exact)

    for exact in (False, True):
        here = at(TRUTH, exact)
        turned = at(Viewpoints.with_light_above(azimuth, TRUTH.elevation, TRUTH.distance), exact)
        assert (here["silhouette"] < turned["silhouette"]).all()
        assert (here["color"] < turned["color"]).all()


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="colours of faces"):
        ShadedMesh(icosphere(1))
    with pytest.raises(ValueError, match="directional must be > 0"):
        ShadedMesh(egg(), directional=0.0)
