"""Models out of checkpoints: built without Hydra, from allowed classes alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate

from recon.models import PaletteHead, Reconstructor
from recon.runs.checkpoints import load_checkpoint, save_checkpoint
from recon.runs.trained_models import build_model, load_trained_model


def with_model(settings: Any) -> dict[str, Any]:
    return {"config": {"model": settings}}


def test_a_model_is_loaded_with_its_weights(tiny_checkpoint: Path) -> None:
    trained = load_trained_model(tiny_checkpoint)
    assert isinstance(trained.model, Reconstructor)
    assert not trained.model.training
    assert trained.checkpoint["step"] == 3
    stored = load_checkpoint(tiny_checkpoint)["model"]
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, stored[name]), name


def test_it_is_the_model_that_hydra_builds(tiny_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    checkpoint["config"]["model"]["color_head"] = {
        "_target_": "recon.models.colors.PaletteHead",
        "_partial_": True,
        "latent": 8,
        "texels": 2,
        "palette": 3,
        "hidden": [],
    }
    ours = build_model(checkpoint)
    theirs = instantiate(checkpoint["config"]["model"])
    assert isinstance(ours.color_head, PaletteHead)
    assert repr(ours) == repr(theirs)
    shapes = [{n: v.shape for n, v in model.state_dict().items()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("os.system", "allowed are names starting with recon.models"),
        ("recon.models.encoder.nn.Linear", "which is not here"),  # passes through to torch
        ("recon.models.encoder.pairwise", "no torch module"),
        ("recon.models.encoder.linear_layers", "no torch module"),
        ("recon.models.Missing", "which is not here"),
    ],
)
def test_other_targets_are_refused(target: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_model(with_model({"_target_": target}))


def test_a_class_that_is_only_imported_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recon.models.Linear", torch.nn.Linear, raising=False)
    settings = {"_target_": "recon.models.Linear", "in_features": 1, "out_features": 1}
    with pytest.raises(ValueError, match=r"defined in torch\.nn\.modules\.linear"):
        build_model(with_model(settings))
    allowed = ("recon.models.", "torch.nn.")
    assert isinstance(build_model(with_model(settings), allowed), torch.nn.Linear)


def test_settings_that_do_not_fit_are_named(tiny_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    checkpoint["config"]["model"]["decoder"]["depth"] = 7
    with pytest.raises(ValueError, match=r"do not fit recon\.models\.MeshDecoder.*depth"):
        build_model(checkpoint)
    checkpoint["config"]["model"]["decoder"] = {
        "_target_": "recon.models.MeshDecoder",
        "_partial_": True,
    }
    with pytest.raises(ValueError, match=r"do not fit recon\.models\.Reconstructor: 'functools"):
        build_model(checkpoint)
    checkpoint["config"]["model"]["decoder"]["_args_"] = [8]
    with pytest.raises(ValueError, match=r"\['_args_'\], which need Hydra"):
        build_model(checkpoint)


def test_weights_of_another_model_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    checkpoint["config"]["model"]["color_head"] = None
    save_checkpoint(tmp_path / "other.pt", checkpoint)
    with pytest.raises(ValueError, match="another model than Reconstructor"):
        load_trained_model(tmp_path / "other.pt")
