"""The example of a fitted mesh finds the sphere, with torch and the rasterizer alone."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "fit_mesh.py"


def test_the_sphere_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(EXAMPLE))
    start = 0.6 * example["start"].norm(dim=1)
    assert start.min() < 0.4
    assert start.max() <= 0.6
    radii = example["vertices"].detach().norm(dim=1)
    assert len(radii) == 258
    assert radii.min() > 0.76
    assert radii.max() < 0.84
    assert capsys.readouterr().out.startswith("mean radius 0.")


def test_it_needs_nothing_else() -> None:
    nodes = list(ast.walk(ast.parse(EXAMPLE.read_text(encoding="utf-8"))))
    names = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    assert {str(name).partition(".")[0] for name in names} == {"torch", "renderer_cuda"}
