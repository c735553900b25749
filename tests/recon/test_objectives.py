"""The objective: which truth meets which silhouette, weights, and what is not computed."""

from __future__ import annotations

import pytest
import torch

from recon.losses import FlattenLoss, LaplacianLoss, silhouette_iou_loss
from recon.meshes import icosphere
from recon.objectives import SilhouetteObjective

SPHERE = icosphere(1)


def objective(**weights: float) -> SilhouetteObjective:
    return SilhouetteObjective(SPHERE.faces, SPHERE.num_vertices, weights)


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    masks = (torch.rand(3, 2, 8, 8, generator=generator) > 0.5).float()
    noise = 0.1 * torch.randn(6, SPHERE.num_vertices, 3, generator=generator)
    return torch.rand(3, 2, 2, 8, 8, generator=generator), masks, SPHERE.vertices + noise


def test_a_silhouette_is_compared_with_the_truth_of_its_camera() -> None:
    _, masks, vertices = inputs()
    by_camera = masks[:, None].expand(-1, 2, -1, -1, -1)
    by_mesh = masks[:, :, None].expand(-1, -1, 2, -1, -1)
    right = objective(silhouette=1.0)(by_camera, masks, vertices)["silhouette"]
    wrong = objective(silhouette=1.0)(by_mesh, masks, vertices)["silhouette"]
    assert float(right) == pytest.approx(0.0, abs=1e-6)
    assert float(wrong) > 0.2


def test_the_total_is_the_weighted_sum_of_the_losses() -> None:
    alpha, masks, vertices = inputs()
    weighted = objective(silhouette=2.0, laplacian=5e-3, flatten=5e-4)
    terms = weighted(alpha, masks, vertices)
    losses = [silhouette_iou_loss(alpha[:, i, j], masks[:, j]) for i in range(2) for j in range(2)]
    assert float(terms["silhouette"]) == pytest.approx(float(sum(losses)) / 4, rel=1e-6)
    laplacian = LaplacianLoss(SPHERE.faces, SPHERE.num_vertices)(vertices)
    flatten = FlattenLoss(SPHERE.faces)(vertices)
    expected = 2 * sum(losses) / 4 + 5e-3 * laplacian + 5e-4 * flatten
    assert float(weighted.total(terms)) == pytest.approx(float(expected), rel=1e-6)


def test_a_term_without_weight_is_not_computed() -> None:
    assert list(objective(silhouette=1.0, flatten=0.0)(*inputs())) == ["silhouette"]
    assert list(objective(laplacian=1.0)(*inputs())) == ["laplacian"]


@pytest.mark.parametrize("weights", [{"lapacian": 1.0}, {"silhouette": -1.0}, {}])
def test_bad_weights_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"loss\.weights"):
        objective(**weights)
