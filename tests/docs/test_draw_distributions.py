"""The images of the soft rasterizers show what their page says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import draw_distributions as script

PAGE = script.FOLDER / "soft_rasterizers.md"


def test_the_page_has_a_row_for_every_distribution_and_t_conorm() -> None:
    formulas, _, _ = PAGE.read_text().partition("## Cost")
    named = re.findall(r"^\| `(\w+)`", formulas, re.MULTILINE)
    assert sorted(named) == sorted((*script.DISTRIBUTIONS, *script.MODES["alpha"]))


def test_plots_have_the_values_of_their_functions() -> None:
    x = torch.tensor([-1e9, 0.0, 1e9], dtype=torch.float64)
    _, logistic, _ = script.distribution_plot("logistic")
    torch.testing.assert_close(logistic(x), torch.tensor([0, 0.5, 1.0], dtype=torch.float64))
    half = torch.tensor([0.5], dtype=torch.float64)
    _, product, _ = script.t_conorm_plot("product")
    assert product(half).item() == pytest.approx(1 - 0.5**script.FACES)
    assert script.t_conorm_plot("maximum")[1](half).item() == 0.5


def test_renders_cover_more_by_greater_t_conorms() -> None:
    names = ("maximum", "product")
    images = script.render_family(script.coloured_mesh(), ("logistic", "exponential"), names, 32)
    assert images.shape == (2, 2, 32, 32)
    assert (images[0, 1] >= images[0, 0] - 1e-6).all()
    assert images[0, 1].mean() > images[0, 0].mean() + 0.01
    # Nothing is covered outside of a face by a distribution on one side.
    assert (images[1, 0] > 0).sum() < (images[0, 0] > 0).sum()


def test_writes_labelled_images(tmp_path: Path) -> None:
    script.main([str(tmp_path), "--size", "8"])
    with Image.open(tmp_path / "soft_rasterizers.png") as sheet:
        width, height = sheet.size
    assert width == script.LABELS[0] + (8 + script.GAP) * len(script.SHOWN_T_CONORMS)
    assert height == script.LABELS[1] + (8 + script.GAP) * len(script.DISTRIBUTIONS)
    with Image.open(tmp_path / "distributions.png") as sheet:
        assert sheet.size[0] == (script.PANEL[0] + 12) * script.COLUMNS


def test_refuses_a_size_of_zero(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        script.main([str(tmp_path), "--size", "0"])


@pytest.mark.parametrize("name", ["distributions.png", "soft_rasterizers.png"])
def test_the_committed_images_are_small(name: str) -> None:
    assert (script.FOLDER / name).stat().st_size < 200_000
