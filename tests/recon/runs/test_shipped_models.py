"""Models by name: found in the folder, listed where the name is unknown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recon.runs.checkpoints import load_checkpoint
from recon.runs.shipped_models import find_model, shipped_models, weights_folder
from recon.runs.trained_models import load_trained_model


def test_a_name_is_a_file_of_the_folder(shipped: Path) -> None:
    assert shipped_models() == ["objects13"]
    assert find_model("objects13") == shipped / "objects13.safetensors"
    assert load_trained_model("objects13").path == shipped / "objects13.safetensors"
    assert load_checkpoint(Path("objects13"))["step"] == 3


def test_paths_are_left_alone(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("gone/objects13", "objects13.pt", "./objects13"):
        expected = Path(path) if path != "./objects13" else Path("objects13")
        assert find_model(path) == expected
    shutil.copy(shipped / "objects13.safetensors", tmp_path / "objects13")
    assert find_model("objects13") == Path("objects13")


def test_unknown_names_list_what_there_is(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"checkpoint cars: no such .*; the models are objects13"
    ):
        load_checkpoint("cars")
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match="no weights are in this package; pass checkpoint=FILE"
    ):
        load_trained_model("objects13")


def test_the_folder_is_in_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECON_WEIGHTS", raising=False)
    assert (weights_folder() / "README.md").is_file()
    for name in shipped_models():  # those of this version: each whole, small and with a card
        assert load_trained_model(name).path.stat().st_size <= 12_000_000
        assert load_checkpoint(name)["sha256"] in (weights_folder() / f"{name}.md").read_text()
