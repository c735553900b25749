"""The Python examples of the pages run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon.formats.meshes import save_mesh
from recon.geometry.meshes import Mesh, icosphere

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ELSEWHERE = {"python.md"}  # run by test_python.py with smaller numbers


def examples(page: Path) -> list[str]:
    return EXAMPLE.findall(page.read_text(encoding="utf-8"))


@pytest.fixture
def folder(tiny_checkpoint: Path, shipped: Path, tmp_path: Path) -> Path:
    """A folder with the files that the examples read."""
    (tmp_path / "outputs/run/checkpoints").mkdir(parents=True)
    shutil.copy(tiny_checkpoint, tmp_path / "outputs/run/checkpoints/best.pt")
    image = np.zeros((80, 80, 4), np.uint8)
    image[20:60, 25:55] = (200, 120, 40, 255)
    for name in ("image.png", "photo.png"):
        Image.fromarray(image).save(tmp_path / name)
    sphere = icosphere(1)
    save_mesh(tmp_path / "chair.obj", Mesh(sphere.vertices, sphere.faces), torch.rand(42, 3))
    return tmp_path


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if examples(page) and page.name not in ELSEWHERE],
    ids=lambda page: page.name,
)
def test_examples_run(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    sphere = icosphere(0)
    corners = sphere.vertices[sphere.faces] + torch.tensor([0, 0, 3.0])
    space: dict[str, object] = {"face_vertices": corners[None]}
    for example in examples(page):
        exec(compile(example, str(page), "exec"), space)


def test_the_examples_of_some_pages_are_found() -> None:
    assert {page.name for page in PAGES if examples(page)} >= {"README.md", "rasterizer.md"}
