"""The grid of sigma and gamma shows what the text below it says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import render_sigma_gamma as script

from recon.geometry.meshes import Mesh, icosphere


def test_edges_soften_with_sigma_and_hidden_parts_appear_with_gamma() -> None:
    mesh = script.coloured_mesh()
    assert mesh.face_colors is not None
    assert len(mesh.face_colors.unique(dim=0)) == 5
    alpha, images = script.render_grid(mesh, (1e-6, 1e-3), (1e-4, 1e-2, 1.0), 48)
    assert images.shape == (3, 2, 3, 48, 48)
    soft = ((alpha > 0.05) & (alpha < 0.95)).sum(dim=(1, 2))
    assert soft[1] > 2 * soft[0]
    # Where the sharpest image shows the top, a leg behind it is seen through.
    top = (images[0, 0] - images[0, 0, :, 18, 24][:, None, None]).abs().amax(0) < 0.02
    assert top.sum() > 50
    spread = [float(image[0][:, top].std(dim=1).max()) for image in images]
    assert spread[0] < 0.01 < min(spread[1:])
    # At gamma 1 the white behind is seen through, too.
    assert images[2, 0][:, top].mean() > images[0, 0][:, top].mean() + 0.05


def test_writes_a_labelled_image(tmp_path: Path) -> None:
    script.main([str(tmp_path / "grid.png"), "--size", "16"])
    with Image.open(tmp_path / "grid.png") as sheet:
        width, height = sheet.size
    step = 16 + script.GAP
    assert width == script.MARGIN[0] + step * len(script.SIGMAS)
    assert height == script.MARGIN[1] + step * (1 + len(script.GAMMAS))


def test_refuses_what_it_cannot_draw(tmp_path: Path) -> None:
    sphere = icosphere(0)
    with pytest.raises(ValueError, match="face_colors"):
        script.render_grid(Mesh(sphere.vertices, sphere.faces), (1e-4,), (1e-4,), 8)
    with pytest.raises(SystemExit):
        script.main([str(tmp_path / "grid.png"), "--size", "0"])


@pytest.mark.parametrize(("value", "text"), [(1.0, "1"), (1e-4, "1e-4"), (0.01, "1e-2")])
def test_labels_are_short(value: float, text: str) -> None:
    assert script._short(value) == text


def test_the_committed_image_is_small() -> None:
    assert script.OUTPUT.is_file()
    assert script.OUTPUT.stat().st_size < 200_000
