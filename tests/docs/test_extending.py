"""The examples of docs/extending.md: what they promise, and their commands from end to end."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "examples"))
from ellipsoid_model import EllipsoidModel
from even_edges import even_edges_loss
from pyramids_source import PyramidsSource

from recon.geometry.meshes import icosphere
from recon.preparation.sources.interface import MeshSource


def test_the_commands_prepare_train_and_evaluate(run_page: Any, tmp_path: Path) -> None:
    smaller = {
        "trainer.max_steps=200": "trainer.max_steps=60",
        "source=pyramids": "source=pyramids workers=1",
    }
    run_page("extending.md", smaller)
    result = json.loads((tmp_path / "outputs/ellipsoid/result.json").read_text())
    assert result["best_iou"] > 0.3  # the ball it begins with has 0.25
    with (tmp_path / "outputs/ellipsoid/evaluation/table.csv").open() as file:
        categories = [row[0] for row in csv.reader(file)]
    assert "pyramid" in categories
    (events,) = (tmp_path / "outputs/even_edges").rglob("events.*")
    log = EventAccumulator(str(events))
    log.Reload()
    assert all(scalar.value > 0 for scalar in log.Scalars("loss/even_edges"))


def test_ellipsoids_stay_within_the_cube_and_learn() -> None:
    torch.manual_seed(0)
    model = EllipsoidModel()
    assert model.template_vertices.norm(dim=1).sub(0.25).abs().max() < 1e-6
    for layer in model.layers:
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.normal_(layer.weight, std=5.0)  # far from what it begins with
    image = torch.rand(3, 4, 64, 64)
    vertices = model(image).vertices
    assert vertices.shape == (3, len(model.template_vertices), 3)
    assert vertices.abs().max() <= 0.5 + 1e-6
    vertices.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_even_edges_are_told_from_uneven_ones() -> None:
    mesh = icosphere(0)
    even = mesh.vertices[None]
    stretched = even * torch.tensor([1.0, 3.0, 1.0])
    assert even_edges_loss(even, mesh.faces) < 1e-10
    assert even_edges_loss(stretched, mesh.faces) > 0.05
    torch.testing.assert_close(
        even_edges_loss(7 * stretched, mesh.faces), even_edges_loss(stretched, mesh.faces)
    )
    assert torch.isfinite(even_edges_loss(0 * even, mesh.faces))


def test_pyramids_are_a_source_of_closed_meshes() -> None:
    source = PyramidsSource(4)
    assert isinstance(source, MeshSource)
    items = source.objects()
    assert [item.split for item in items] == ["train", "train", "val", "test"]
    for item in items:
        surface = source.load(item)
        corners = surface.vertices[surface.faces]
        size = corners.max(axis=(0, 1)) - corners.min(axis=(0, 1))
        assert size.max() == pytest.approx(1.0)
        # The signed volume of a closed mesh whose faces look outward: a third of base and height.
        volume = torch.tensor(corners).det().sum() / 6
        assert float(volume) == pytest.approx(size.prod() / 3)
