"""What is written about a fit can be read back."""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from PIL import Image

from recon.fitting.fit import fit
from recon.fitting.history import evenly_spread, joined_history, write_history


def test_history_is_written_as_numbers_and_curves(tmp_path: Path) -> None:
    history = {"a": torch.tensor([2.0, 0.5]), "total": torch.tensor([2.0, 0.5])}
    write_history(tmp_path, history)
    with open(tmp_path / "history.csv", newline="") as file:
        assert list(csv.reader(file)) == [
            ["step", "a", "total"],
            ["0", "2", "2"],
            ["1", "0.5", "0.5"],
        ]
    assert Image.open(tmp_path / "history.png").size == (640, 360)


def test_histories_of_stages_are_joined() -> None:
    x = torch.zeros(1)
    first = fit({"x": x}, lambda step: {"a": x.sum() + step}, 1)
    second = fit({"x": x}, lambda step: {"a": x.sum(), "b": x.sum() * 0 + 7}, 2)
    joined = joined_history([first, second])
    assert list(joined) == ["a", "total", "b"]
    assert joined["b"].isnan().tolist() == [True, True, False, False, False]
    assert torch.equal(joined["total"][:2], first.history["a"])


def test_of_many_problems_the_mean_is_joined() -> None:
    x, y = torch.zeros(2), torch.zeros(3)
    first = fit({"x": x}, lambda step: x.detach() * 0 + torch.tensor([1.0, 3.0]) + 0 * x, 0)
    second = fit({"y": y}, lambda step: 0 * y + torch.tensor([1.0, 2.0, 6.0]), 0)
    assert joined_history([first, second])["total"].tolist() == [2, 3]


def test_states_are_spread_evenly_up_to_the_last() -> None:
    assert evenly_spread(range(10), 5) == [1, 3, 5, 7, 9]
    assert evenly_spread(range(3), 5) == [0, 1, 2]
    assert evenly_spread(range(11), 4) == [1, 4, 7, 10]
    assert evenly_spread(range(11), 0) == evenly_spread([], 3) == []
