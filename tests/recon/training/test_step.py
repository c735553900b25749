"""One step: what it updates, and what it leaves."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recon.geometry.cameras import shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.losses.objective import Objective
from recon.losses.silhouette import silhouette_iou_loss
from recon.losses.terms import Term
from recon.models import Prediction
from recon.rendering.renderer import SoftRenderer
from recon.schedules import Adaptive, Constant, StepDecay
from recon.timing import StepTimer
from recon.training.distributed import Processes
from recon.training.step import TrainingStep
from recon.training.step_guard import NORM, StepGuard

SPHERE = icosphere(1)


class Scaled(nn.Module):
    """Predicts a sphere whose radius is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.radius = nn.Parameter(torch.tensor(0.2))

    def forward(self, images: Tensor) -> Prediction:
        return Prediction((SPHERE.vertices * self.radius).expand(len(images), -1, -1))


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """One sphere of radius 0.35 in two views."""
    cameras = shapenet_cameras([0, 8])
    vertices = (SPHERE.vertices * 0.35).expand(2, -1, -1)
    alpha = SoftRenderer(32, sigma=1e-7).silhouette(vertices, SPHERE.faces, cameras)
    images = torch.zeros(1, 2, 4, 32, 32, dtype=torch.uint8)
    images[0, :, 3] = (alpha * 255).round().byte()
    return {"images": images, "cameras": cameras.rows()[None]}


def make_step(
    network: nn.Module,
    schedule: Mapping[str, Any],
    optimizer: torch.optim.Optimizer | None = None,
) -> TrainingStep:
    device = torch.device("cpu")
    factors = {name: schedule.get(name, Constant()) for name in ("lr", "sigma", "gamma")}
    return TrainingStep(
        network=network,
        renderer=SoftRenderer(32, sigma=1e-3, gamma=1e-2),
        objective=Objective(
            SPHERE.faces, SPHERE.num_vertices, {"silhouette": Term(silhouette_iou_loss)}
        ),
        optimizer=optimizer or torch.optim.SGD(network.parameters(), lr=0.01),
        schedule=factors,
        guard=StepGuard(network, 3),
        timer=StepTimer(device),
        processes=Processes(),
        device=device,
        precision=torch.float32,
        layout=torch.contiguous_format,
    )


def test_a_step_goes_down_the_gradient(batch: dict[str, Tensor]) -> None:
    network = Scaled()
    result = make_step(network, {}).take(0, batch)
    assert not result.broken
    assert set(result.losses) == {"total", "silhouette", NORM}
    assert float(network.radius.detach()) == pytest.approx(0.2 + 0.01 * result.losses[NORM])
    assert result.images.shape == (1, 2, 4, 32, 32)
    assert float(result.images.max()) == 1.0
    assert result.renderings.alpha.shape == (1, 2, 2, 32, 32)


def test_rates_follow_their_schedules(batch: dict[str, Tensor]) -> None:
    step = make_step(Scaled(), {"lr": StepDecay([2], 0.5), "gamma": StepDecay([1], 0.1)})
    assert step.rates(0) == {"lr": 0.01, "sigma": 1e-3, "gamma": 1e-2}
    assert step.rates(2) == pytest.approx({"lr": 0.005, "sigma": 1e-3, "gamma": 1e-3})
    assert step.take(2, batch).rates == step.rates(2)
    assert step.optimizer.param_groups[0]["lr"] == 0.005


def test_groups_keep_their_own_rates_under_a_schedule(batch: dict[str, Tensor]) -> None:
    network = Scaled()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    optimizer.add_param_group({"params": nn.Linear(1, 1).parameters(), "lr": 0.4})
    step = make_step(network, {"lr": StepDecay([2], 0.5)}, optimizer)
    for done, expected in ((0, [0.01, 0.4]), (2, [0.005, 0.2]), (1, [0.01, 0.4])):
        result = step.take(done, batch)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(expected)
        assert result.rates["lr"] == pytest.approx(expected[0])


def test_a_step_that_is_not_finite_updates_nothing(batch: dict[str, Tensor]) -> None:
    network = Scaled()
    network.radius.register_hook(lambda gradient: gradient * float("nan"))
    result = make_step(network, {}).take(0, batch)
    assert result.broken
    assert result.losses[NORM] != result.losses[NORM]
    assert float(network.radius.detach()) == pytest.approx(0.2)


def test_the_network_sees_the_inputs_of_the_input_views(batch: dict[str, Tensor]) -> None:
    seen: list[Tensor] = []

    class Watching(Scaled):
        def forward(self, images: Tensor) -> Prediction:
            seen.append(images)
            return super().forward(images)

    inputs = torch.full_like(batch["images"], 51)
    step = make_step(Watching(), {})
    step.input_views = 1
    taken = step.take(0, {**batch, "inputs": inputs})
    assert torch.equal(seen[0], torch.full((1, 4, 32, 32), 0.2))
    assert taken.renderings.alpha.shape == (1, 1, 2, 32, 32)
    assert float(taken.images.max()) == 1.0


# ---- adaptive smoothing --------------------------------------------------------------------------

DECIDES_OFTEN = {
    **{"factor": 0.5, "every": 4, "start": 0, "measure_every": 2},
    **{"memory": 0.5, "final": 0.01},
}


def test_the_sensitivity_is_the_derivative_of_the_loss(batch: dict[str, Tensor]) -> None:
    """Of the loss in double precision, by a smaller and a one-sided difference."""
    step = make_step(Scaled(), {"sigma": Adaptive()})
    prediction, truth = step.predict(batch)
    exact = Prediction(prediction.vertices.detach().double())
    truth = {name: value.double() for name, value in truth.items()}
    rates = step.rates(0)

    def loss(sigma: float) -> float:
        return step.losses(exact, truth, sigma, rates["gamma"])[0]["total"].item()

    expected = (loss(1e-3 * (1 + 1e-6)) - loss(1e-3)) / 1e-6
    measured = step._sensitivity("sigma", prediction, truth, rates)
    assert abs(expected) > 1e-3
    assert measured == pytest.approx(expected, rel=1e-2)


def fitted(
    batch: dict[str, Tensor], schedule: Mapping[str, Any]
) -> tuple[list[float], list[float]]:
    """The radius before each of 100 steps down the gradient, and sigma in it."""
    network = Scaled()
    step = make_step(network, schedule, torch.optim.SGD(network.parameters(), lr=5e-4))
    radii, sigmas = [], []
    for done in range(100):
        radii.append(float(network.radius.detach()))
        sigmas.append(step.take(done, batch).rates["sigma"])
    return radii, sigmas


def test_sigma_falls_once_the_shape_has_arrived_and_not_before(batch: dict[str, Tensor]) -> None:
    """Soft edges reach a sphere that is too small; they are in the way of one that fits."""
    radii, sigmas = fitted(batch, {"sigma": Adaptive(**DECIDES_OFTEN)})  # type: ignore[arg-type]
    soft, _ = fitted(batch, {})
    assert all(sigma == 1e-3 for radius, sigma in zip(radii, sigmas, strict=True) if radius < 0.3)
    assert all(later <= earlier for earlier, later in itertools.pairwise(sigmas))
    assert sigmas[-1] < 1e-4
    assert radii[-1] == pytest.approx(0.35, abs=0.01)
    assert soft[-1] < 0.33  # a soft sphere is drawn larger than it is


def test_a_softness_that_has_no_part_in_the_loss_is_not_measured(batch: dict[str, Tensor]) -> None:
    gamma = Adaptive(**DECIDES_OFTEN)  # type: ignore[arg-type]
    step = make_step(Scaled(), {"gamma": gamma})
    for done in range(8):
        step.take(done, batch)
    assert gamma.state() == {"falls": 0, "average": 0.0}


def test_a_step_that_is_not_finite_is_not_measured(batch: dict[str, Tensor]) -> None:
    network, sigma = Scaled(), Adaptive(**DECIDES_OFTEN)  # type: ignore[arg-type]
    network.radius.register_hook(lambda gradient: gradient * float("nan"))
    make_step(network, {"sigma": sigma}).take(0, batch)
    assert sigma.average == 0.0


def test_the_learning_rate_cannot_be_adaptive() -> None:
    with pytest.raises(ValueError, match=r"schedule\.lr must be a function of the step alone"):
        make_step(Scaled(), {"lr": Adaptive()})
