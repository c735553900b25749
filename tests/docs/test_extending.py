"""The examples of docs/extending.md: what they promise, and their commands from end to end."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "examples"))
from balls_source import BallsSource
from cube_decoder import CubeDecoder
from ellipsoid_model import EllipsoidModel
from even_edges import even_edges_loss
from pyramids_source import PyramidsSource

from recon.geometry.cameras import Cameras
from recon.geometry.meshes import icosphere
from recon.preparation.sources.interface import ImageSource, MeshSource
from recon.rendering.renderer import SoftRenderer
from renderer_cuda.validation import LAYER_MODES, MODES

ROOT = Path(__file__).resolve().parents[2]


def test_the_commands_prepare_train_and_evaluate(run_page: Any, tmp_path: Path) -> None:
    smaller = {
        "trainer.max_steps=200": "trainer.max_steps=60",
        "trainer.max_steps=100": "trainer.max_steps=30",
        "source=pyramids": "source=pyramids workers=1",
        "source=balls": "source=balls workers=1",
    }
    run_page("extending.md", smaller)
    result = json.loads((tmp_path / "outputs/ellipsoid/result.json").read_text())
    assert result["best_iou"] > 0.3  # the ball it begins with has 0.25
    with (tmp_path / "outputs/ellipsoid/evaluation/table.csv").open() as file:
        categories = [row[0] for row in csv.reader(file)]
    assert "pyramid" in categories
    cube = json.loads((tmp_path / "outputs/cube/result.json").read_text())
    assert cube["best_iou"] > 0.5  # of silhouettes
    evaluation = json.loads((tmp_path / "outputs/cube/evaluation/result.json").read_text())
    assert [row["synset"] for row in evaluation["objects"]] == ["ball", "ball"]
    assert (tmp_path / "data/balls.h5.cameras.png").stat().st_size > 0
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


def test_balls_come_with_images_and_cameras_that_agree() -> None:
    source = BallsSource(4, image_size=48, views=3)
    assert isinstance(source, ImageSource)
    entries = source.objects()
    assert [entry.split for entry in entries] == ["train", "train", "val", "test"]
    sphere = icosphere(4)
    for entry in entries:
        arrays = source.arrays(entry)
        source.layout().check(arrays)
        radius = np.random.default_rng(int(entry.id[-1])).uniform(0.2, 0.4)
        cameras = Cameras.from_rows(torch.from_numpy(arrays["cameras"]))
        vertices = (radius * sphere.vertices).expand(3, -1, -1)
        drawn = SoftRenderer(48, sigma=1e-7).silhouette(vertices, sphere.faces, cameras) > 0.5
        disc = torch.from_numpy(arrays["images"][:, 3]) > 127
        assert (drawn & disc).sum() / (drawn | disc).sum() > 0.97


def test_a_cube_is_deformed_within_its_reach() -> None:
    torch.manual_seed(0)
    decoder = CubeDecoder(8, subdivisions=1)
    assert decoder.template_vertices.abs().amax(1).unique().tolist() == pytest.approx([0.25])
    latent = 100 * torch.randn(3, 8)
    vertices = decoder(latent)
    assert vertices.shape == (3, 42, 3)
    moved = (vertices - decoder.template_vertices).abs().max()
    assert 0.2 < moved <= 0.25 + 1e-6
    vertices.square().sum().backward()
    assert all(parameter.grad is not None for parameter in decoder.parameters())


def section(heading: str) -> str:
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    return page.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_the_steps_to_a_mode_name_files_and_functions_that_exist() -> None:
    text = section("A mode of the rasterizer")
    code = re.findall(r"`([^`]+)`", text)
    files = [name for name in code if re.fullmatch(r"[\w/]+\.(py|h|md)", name)]
    assert len(files) >= 10
    assert [name for name in files if not (ROOT / name).is_file()] == []
    sources = "".join((ROOT / name).read_text(encoding="utf-8") for name in files)
    words = [name for name in code if re.fullmatch(r"[A-Za-z_]+(\(\))?", name)]
    assert [word for word in words if word.removesuffix("()") not in sources] == []


def test_kernels_number_modes_as_the_checks_do() -> None:
    headers = ("parameters.h", "distributions.h", "layers.h")
    sources = [(ROOT / "renderer_cuda/csrc" / name).read_text(encoding="utf-8") for name in headers]
    for name, words in {**MODES, **LAYER_MODES}.items():
        pattern = rf"enum class {name.title()} : int {{(.*?)}}"
        (listed,) = re.findall(pattern, "".join(sources), re.DOTALL)
        numbers: dict[str, int] = {}
        for word, number in re.findall(r"(\w+)(?: = (\d+))?", re.sub("//.*", "", listed)):
            numbers[word] = int(number) if number else max(numbers.values(), default=-1) + 1
        numbers.pop("none", None)  # silhouettes have no colour, which nobody types
        assert list(numbers) == list(words)
        first = 1 if name == "color" else 0
        assert list(numbers.values()) == list(range(first, first + len(words)))
