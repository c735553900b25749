"""The example of triangle splatting learns in few steps, and writes its triangles."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

from recon.formats.meshes import read_mesh

EXAMPLE = Path(__file__).parents[2] / "examples" / "triangle_splatting.py"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLE))


@pytest.mark.parametrize("start", ["random", "sphere"])
def test_held_out_views_get_better(example: dict[str, Any], start: str) -> None:
    generator = torch.Generator().manual_seed(0)
    triangles = (
        example["start_at_random"](200, generator)
        if start == "random"
        else example["start_at_sphere"](1)
    )
    options = {"views": 6, "held_out": 2, "batch": 2}
    before = example["fit"](triangles, 0, **options)
    after = example["fit"](triangles, 15, **options)
    assert after > before + 1
    assert all(torch.isfinite(leaf).all() for leaf in triangles.leaves())


def test_triangles_are_written(
    example: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "triangles.glb"
    arguments = ["--triangles", "40", "--steps", "1", "--output", str(path)]
    monkeypatch.setattr("sys.argv", [str(EXAMPLE), *arguments])
    example["main"]()
    assert "PSNR" in capsys.readouterr().out
    assert len(read_mesh(path).faces) == 40
