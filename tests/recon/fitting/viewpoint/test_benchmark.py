"""Truths are seeded and in their ranges; summaries count what they say."""

from __future__ import annotations

import pytest
import torch

from recon.fitting.viewpoint.benchmark import (
    AZIMUTH_OFF,
    DISTANCES,
    ELEVATIONS,
    LIGHT_REACH,
    Benchmark,
    summarise,
    table,
)
from recon.fitting.viewpoint.run import known_mesh
from recon.fitting.viewpoint.shaded_mesh import ShadedMesh
from recon.fitting.viewpoint.viewpoints import ViewpointErrors


def benchmark(seed: int = 0, count: int = 50) -> Benchmark:
    return Benchmark(ShadedMesh(known_mesh("car", [0.7, 0.7, 0.7])), count, (24, 24), seed)


def test_truths_are_in_their_ranges_and_seeded() -> None:
    truth = benchmark().truth()
    assert ELEVATIONS[0] <= truth.elevation.min() < 0 < 40 < truth.elevation.max() <= ELEVATIONS[1]
    assert DISTANCES[0] <= truth.distance.min() <= truth.distance.max() <= DISTANCES[1]
    assert truth.azimuth.max() - truth.azimuth.min() > 300
    eyes = torch.nn.functional.normalize(truth.eyes())
    angle = torch.rad2deg(torch.acos((eyes * truth.light).sum(1)))
    assert angle.max() <= LIGHT_REACH + 0.01
    assert angle.mean() > 20
    assert torch.equal(benchmark().truth().light, truth.light)
    assert not torch.equal(benchmark(1).truth().azimuth, truth.azimuth)


def test_starts_are_beside_the_truths() -> None:
    one = benchmark()
    truth, starts = one.truth(), one.starts()
    off = (starts.azimuth - truth.azimuth).abs()
    assert AZIMUTH_OFF[0] - 1e-3 <= off.min() <= off.max() <= AZIMUTH_OFF[1] + 1e-3
    assert ((starts.azimuth > truth.azimuth).float().mean() - 0.5).abs() < 0.3
    ratio = starts.distance / truth.distance
    assert set(ratio.mul(100).round().int().tolist()) == {83, 120}


def test_images_show_the_object() -> None:
    images = benchmark(count=5).images()
    assert images.shape == (5, 4, 24, 24)
    assert (images[:, 3] > 0.5).float().mean((1, 2)).min() > 0.05
    assert images.min() >= 0
    assert images.max() <= 1


def test_summaries() -> None:
    zero, view = torch.zeros(3), torch.tensor([1.0, 2.0, 30.0])
    errors = ViewpointErrors(view, view / 2, zero, torch.tensor([0.0, 0.04, 0.06]), zero)
    summary = summarise(errors)
    assert summary["view"] == {
        "median": 2.0,
        "mean": 11.0,
        "greatest": 30.0,
        "within_5": pytest.approx(2 / 3),
    }
    assert summary["distance"]["greatest"] == pytest.approx(6)
    assert summary["distance"]["within_5"] == pytest.approx(2 / 3)
    assert summary["azimuth"]["greatest"] == 15
    text = table({"before": summary, "after": summary})
    assert len(text.splitlines()) == 11
    assert "67 %" in text
