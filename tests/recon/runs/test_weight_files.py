"""Weights to share: half the bytes, the same predictions, and no damage unnoticed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from recon.datasets.framing import usual_framing
from recon.models.prediction import predict
from recon.runs.checkpoints import load_checkpoint
from recon.runs.trained_models import TrainedModel, build_model, load_trained_model
from recon.runs.weight_files import load_weights, save_weights, without_folders


def with_framing(trained: TrainedModel, **changes: Any) -> Mapping[str, Any]:
    return {**trained.checkpoint, "framing": usual_framing().plain(), "best_iou": 0.5, **changes}


@pytest.fixture
def trained(tiny_checkpoint: Path) -> TrainedModel:
    return load_trained_model(tiny_checkpoint)


@pytest.fixture
def weights(trained: TrainedModel, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_weights(path, trained.model, with_framing(trained))
    return path


def test_the_model_predicts_what_it_did(trained: TrainedModel, weights: Path) -> None:
    loaded = load_trained_model(weights)
    images = torch.rand(2, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    before, after = (predict(one.model, images) for one in (trained, loaded))
    # float16 keeps 11 bits, and the coordinates are below 0.5.
    assert torch.allclose(before.vertices, after.vertices, atol=2e-3)
    assert not torch.equal(before.vertices, after.vertices)
    assert loaded.path == weights
    assert {value.dtype for value in loaded.model.parameters()} == {torch.float32}


def test_a_camera_head_predicts_what_it_did(trained: TrainedModel, tmp_path: Path) -> None:
    head = {"_target_": "recon.models.DirectionHead", "latent": 8, "channels": [4], "hidden": [8]}
    config = {**trained.checkpoint["config"]}
    config["model"] = {**config["model"], "camera_head": head}
    model = build_model({"config": config}).eval()
    path = tmp_path / "directed.safetensors"
    save_weights(path, model, with_framing(trained, config=config, model=model.state_dict()))
    images = torch.rand(2, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    before, after = (predict(one, images) for one in (model, load_trained_model(path).model))
    torch.testing.assert_close(before.direction_logits, after.direction_logits, atol=5e-3, rtol=0)
    assert torch.equal(before.directions, after.directions)
    assert after.directions.shape == (144, 3)


def test_buffers_and_facts_are_kept_exactly(trained: TrainedModel, weights: Path) -> None:
    loaded = load_weights(weights)
    for name, value in trained.model.named_buffers():
        assert torch.equal(loaded["model"][name], value), name
    assert (loaded["step"], loaded["best_iou"], loaded["optimizer"]) == (3, 0.5, {})
    assert loaded["config"] == trained.checkpoint["config"]
    usual = usual_framing()
    assert torch.equal(loaded["framing"]["cameras"], usual.cameras)
    assert loaded["framing"]["fill"] == list(usual.fill)


def test_a_file_is_half_the_size_and_the_same_each_time(
    trained: TrainedModel, weights: Path, tmp_path: Path
) -> None:
    sizes = {name: value.numel() for name, value in trained.model.named_parameters()}
    tensors = safetensors.torch.load_file(weights)
    assert {tensors[name].dtype for name in sizes} == {torch.float16}
    digest = save_weights(tmp_path / "again", trained.model, with_framing(trained))
    assert (tmp_path / "again").read_bytes() == weights.read_bytes()
    assert digest == load_weights(weights)["sha256"]
    with pytest.raises(ValueError, match=r"must have at most 0.0 MB, got"):
        save_weights(tmp_path / "large", trained.model, with_framing(trained), largest=1000)
    assert not (tmp_path / "large").exists()


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7, 0.9, 0.999])
def test_a_flipped_bit_is_noticed(weights: Path, place: float) -> None:
    content = bytearray(weights.read_bytes())
    content[int(place * len(content))] ^= 4
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"tiny.safetensors: (damaged|truncated)"):
        load_checkpoint(weights)


def test_changed_facts_are_noticed(weights: Path) -> None:
    content = weights.read_bytes()
    assert content.count(b'\\"step\\": 3') == 1
    weights.write_bytes(content.replace(b'\\"step\\": 3', b'\\"step\\": 4'))
    with pytest.raises(ValueError, match="damaged, the content does not match its SHA-256"):
        load_weights(weights)


def test_what_is_no_file_of_weights_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_weights(tmp_path / "gone.safetensors")
    other = tmp_path / "other.safetensors"
    other.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ValueError, match="truncated or not a safetensors file"):
        load_weights(other)
    for metadata, message in (
        (None, "not written by this library"),
        ({"recon": "{"}, "its metadata is no JSON"),
        ({"recon": json.dumps({"format": "recon.weights", "version": 9})}, "version 9"),
        ({"recon": json.dumps({"format": "recon.weights", "version": 1})}, "has no config"),
    ):
        safetensors.torch.save_file({"a": torch.zeros(2)}, other, metadata)
        with pytest.raises(ValueError, match=message):
            load_weights(other)


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_weights_that_float16_cannot_hold_are_refused(
    trained: TrainedModel, tmp_path: Path, value: float
) -> None:
    with torch.no_grad():
        next(trained.model.parameters()).view(-1)[0] = value
    with pytest.raises(ValueError, match=r"must be finite in torch.float16"):
        save_weights(tmp_path / "bad.safetensors", trained.model, with_framing(trained))
    with pytest.raises(ValueError, match="must have a framing"):
        save_weights(tmp_path / "bad.safetensors", trained.model, trained.checkpoint)


def test_the_folders_of_a_machine_are_left_out() -> None:
    config = {"data": {"path": ["/home/me/a.h5", "data/b.h5"]}, "lr": 0.1, "none": None}
    assert without_folders(config) == {
        "data": {"path": ["a.h5", "data/b.h5"]},
        "lr": 0.1,
        "none": None,
    }
