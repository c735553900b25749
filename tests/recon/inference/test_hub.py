"""Models saved for the hub and loaded again, from a local folder, without any network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from recon.runs.trained_models import load_trained_model
from recon.runs.weight_files import load_weights

pytest.importorskip("huggingface_hub", reason="the extra 'hub' is not installed")

from huggingface_hub import hub_mixin

from recon.inference.hub import HubModel


def square() -> np.ndarray:
    rgba = np.zeros((60, 60, 4), np.uint8)
    rgba[20:40, 15:45] = (20, 40, 200, 255)
    return rgba


@pytest.fixture
def model(tiny_checkpoint: Path) -> HubModel:
    return HubModel(load_trained_model(tiny_checkpoint), "cpu")


def test_a_saved_model_is_loaded_again(model: HubModel, tmp_path: Path) -> None:
    folder = tmp_path / "chairs"
    model.save_pretrained(folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]
    facts = json.loads((folder / "config.json").read_text())
    assert facts["sha256"] == load_weights(folder / "model.safetensors")["sha256"]
    assert "library_name: recon" in (folder / "README.md").read_text()

    loaded = HubModel.from_pretrained(folder, device="cpu")
    before, after = (one.reconstruct(square()) for one in (model, loaded))
    assert torch.allclose(before.vertices, after.vertices, atol=5e-3)
    # What was loaded is float16 already, so that saving it again changes nothing.
    loaded.save_pretrained(tmp_path / "again")
    weights = [tmp_path / name / "model.safetensors" for name in ("chairs", "again")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_card_that_is_there_stays(model: HubModel, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    model.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_the_hub_gets_the_same_files(model: HubModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, list[str]] = {}

    class Repository:
        repo_id = "me/chairs"

    class Api:
        def __init__(self, **options: object) -> None:
            pass

        def create_repo(self, **options: object) -> Repository:
            return Repository()

        def upload_folder(self, *, repo_id: str, folder_path: Path, **options: object) -> str:
            sent[repo_id] = sorted(path.name for path in Path(folder_path).iterdir())
            return "address"

    monkeypatch.setattr(hub_mixin, "HfApi", Api)
    assert model.push_to_hub("me/chairs") == "address"
    assert sent == {"me/chairs": ["README.md", "config.json", "model.safetensors"]}


def test_bad_input_is_refused(model: HubModel, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        HubModel.from_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="takes device and no colour"):
        HubModel.from_pretrained(tmp_path, colour="red")
    content = bytearray((tmp_path / "model.safetensors").read_bytes())
    content[-100] ^= 1
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        HubModel.from_pretrained(tmp_path)
