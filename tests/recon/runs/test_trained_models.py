"""Models out of checkpoints: built without Hydra, from allowed classes alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate

from recon.models import PaletteHead, Reconstructor
from recon.runs.checkpoints import load_checkpoint, save_checkpoint
from recon.runs.trained_models import TrainedModel, build_model, load_trained_model


def with_model(config: Any) -> dict[str, Any]:
    return {"config": {"model": config}}


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
    config = {"_target_": "recon.models.Linear", "in_features": 1, "out_features": 1}
    with pytest.raises(ValueError, match=r"defined in torch\.nn\.modules\.linear"):
        build_model(with_model(config))
    allowed = ("recon.models.", "torch.nn.")
    assert isinstance(build_model(with_model(config), allowed), torch.nn.Linear)


def test_a_config_that_does_not_fit_is_named(tiny_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    checkpoint["config"]["model"]["decoder"]["depth"] = 7
    with pytest.raises(ValueError, match=r"does not fit recon\.models\.MeshDecoder.*depth"):
        build_model(checkpoint)
    checkpoint["config"]["model"]["decoder"] = {
        "_target_": "recon.models.MeshDecoder",
        "_partial_": True,
    }
    with pytest.raises(ValueError, match=r"does not fit recon\.models\.Reconstructor: 'functools"):
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


def test_data_are_found_from_the_folders_above_the_checkpoint(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "project" / "outputs" / "run" / "best.pt"
    path.parent.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    def trained_on(data: Any) -> TrainedModel:
        content = load_checkpoint(tiny_checkpoint)
        save_checkpoint(path, {**content, "config": {**content["config"], "data": {"path": data}}})
        return load_trained_model(path)

    data = tmp_path / "project" / "data"
    data.mkdir()
    for name in ("a.h5", "b.h5"):
        (data / name).touch()
    assert trained_on("data/a.h5").data_path() == str(data / "a.h5")
    assert trained_on("data/*.h5").data_path() == str(data / "*.h5")
    names = ["data/a.h5", "data/b.h5"]
    assert trained_on(names).data_path() == [str(tmp_path / "project" / name) for name in names]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.h5").touch()
    assert trained_on("data/a.h5").data_path() == "data/a.h5"
    for missing in ("data/c.h5", ["data/a.h5", "data/c.h5"], None):
        with pytest.raises(FileNotFoundError, match=r"c\.h5.*; give data\.path=FILE|None; give"):
            trained_on(missing).data_path()


def test_faces_of_vertices_that_are_not_there_are_refused(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    content = load_checkpoint(tiny_checkpoint)
    for value in (42, -1):
        content["model"]["decoder.faces"][3, 1] = value
        save_checkpoint(tmp_path / "x.pt", content)
        with pytest.raises(ValueError, match=r"faces must name vertices 0\.\.41, got "):
            load_trained_model(tmp_path / "x.pt")
