"""Losses over the angle are least at the truth, and valleys are told from hills."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from recon.command_line import Interruption

SCRIPTS = Path(__file__).parents[3] / "scripts" / "benchmarks"


@pytest.fixture
def landscape(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import pose_landscape

    monkeypatch.setattr(pose_landscape, "ANGLES", 24)
    monkeypatch.setattr(pose_landscape, "LINES", 2)
    return pose_landscape


def test_a_valley_falls_from_both_sides(landscape) -> None:  # type: ignore[no-untyped-def]
    angles = torch.linspace(-180, 180, 25)
    assert landscape.is_a_valley(angles.abs())
    assert landscape.is_a_valley(angles.abs().clamp(max=120) - (angles.abs() > 130) * 1.0)
    hill = angles.abs() - 80 * (angles.sub(75).abs() < 10)  # a second minimum, on one side
    assert not landscape.is_a_valley(hill)
    assert not landscape.is_a_valley(angles)


def test_profiles_are_least_at_the_truth(landscape) -> None:  # type: ignore[no-untyped-def]
    for loss in (landscape.rgb_loss(1e-5, 1e-3), landscape.channel_loss(0.02)):
        values = landscape.profile(loss, seed=2)
        assert values.shape == (25,)
        assert int(values.argmin()) == 12
        assert float(values[0]) == pytest.approx(float(values[-1]), rel=1e-3)  # a full turn apart


def test_the_image_and_the_table_are_written(landscape, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = landscape.write_landscape(tmp_path, seed=1)
    assert (tmp_path / "landscape.md").read_text() == text + "\n"
    assert len(re.findall(r"gamma .* \| \d+ \|$", text, re.MULTILINE)) == 6
    image = Image.open(tmp_path / "landscape.png")
    assert image.size == (960, 300)
    assert len(image.convert("RGB").getcolors(100_000)) > 10


def test_a_signal_ends_the_counting(landscape, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    interruption = Interruption()
    interruption.signum = 2
    text = landscape.write_landscape(tmp_path, 1, interruption)
    assert text.splitlines()[-1] == "|---|---|"
    assert (tmp_path / "landscape.png").is_file()
