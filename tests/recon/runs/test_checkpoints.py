"""Checkpoints: whole or absent, safe to load, refused with their reason; random states."""

from __future__ import annotations

import random
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from recon.runs import checkpoints
from recon.runs.checkpoints import (
    load_checkpoint,
    load_initial_state,
    load_model_state,
    model_config,
    preserved_random_states,
    random_states,
    restore_random_states,
    save_checkpoint,
    seed_everything,
)


def content(**more: Any) -> dict[str, Any]:
    model = nn.Linear(2, 3)
    optimizer = torch.optim.Adam(model.parameters())
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": 5,
        "config": {"seed": 0, "model": {"_target_": "recon.models.Reconstructor"}},
        "random": random_states(),
        **more,
    }


def draws() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    saved = content()
    save_checkpoint(tmp_path / "last.pt", saved)
    loaded = load_checkpoint(tmp_path / "last.pt")
    assert loaded["step"] == 5
    assert loaded["config"] == saved["config"]
    assert all(torch.equal(loaded["model"][key], saved["model"][key]) for key in saved["model"])
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_a_save_which_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, content())
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        save_checkpoint(path, content(broken=lambda: None))  # a lambda cannot be pickled
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_which_the_system_refuses_keeps_its_reason_and_the_old_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(b"old")
    big = content(model={"weight": torch.zeros(100_000)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # as a disk which fills on the way
    try:
        with pytest.raises(OSError, match=r"could not write .*last\.pt: File too large"):
            save_checkpoint(path, big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such file: .*none\.pt"):
        load_checkpoint(tmp_path / "none.pt")


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.98])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, content())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(ValueError, match=r"last\.pt: truncated or not a checkpoint"):
        load_checkpoint(path)


def test_a_flipped_bit_is_found_wherever_it_matters(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, content(model={"weight": torch.arange(64.0)}))
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), 13):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            found = load_checkpoint(path)
        except ValueError:
            refused += 1
            continue
        # In a gap between two records, or in a date.
        assert torch.equal(found["model"]["weight"], torch.arange(64.0))
        assert found["step"] == content()["step"]
    assert refused > 20
    path.write_bytes(whole.replace(torch.tensor(7.0).numpy().tobytes(), b"\0\0\xe0A"))
    with pytest.raises(ValueError, match=r"damaged, .*/data/0 does not match its checksum"):
        load_checkpoint(path)


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(10_000_000))
    with pytest.raises(ValueError, match="its content is compressed"):
        load_checkpoint(path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.pt"
    path.write_bytes(b"\x89PNG not a checkpoint at all")
    with pytest.raises(ValueError, match="not a checkpoint"):
        load_checkpoint(path)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(ValueError, match="not written by this library"):
        load_checkpoint(path)
    torch.save({"format": checkpoints.FORMAT, "version": 99}, path)
    with pytest.raises(ValueError, match="version 99"):
        load_checkpoint(path)
    torch.save({"format": checkpoints.FORMAT, "version": checkpoints.VERSION, "step": 0}, path)
    with pytest.raises(ValueError, match="has no model, optimizer, config"):
        load_checkpoint(path)


def test_a_checkpoint_which_would_run_code_is_refused(tmp_path: Path) -> None:
    class Exploit:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    path = tmp_path / "evil.pt"
    torch.save({"format": checkpoints.FORMAT, "model": Exploit()}, path)
    with pytest.raises(ValueError, match="not a checkpoint"):
        load_checkpoint(path)
    assert not (tmp_path / "executed").exists()


def test_the_state_of_another_model_is_refused_with_the_difference() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = model.state_dict()
    load_model_state(model, state)
    reshaped = {**state, "0.weight": torch.zeros(3, 4)}
    with pytest.raises(ValueError, match=r"1 of another shape \(0.weight \(3, 4\) for \(3, 2\)\)"):
        load_model_state(model, reshaped)
    del state["0.bias"]
    state["head.bias"] = torch.zeros(3)
    with pytest.raises(ValueError, match=r"1 missing \(0.bias\), 1 unexpected \(head.bias\)"):
        load_model_state(model, state)


def test_a_model_starts_from_one_with_fewer_parts() -> None:
    def made(**sizes: int) -> nn.ModuleDict:
        return nn.ModuleDict({name: nn.Linear(2, size) for name, size in sizes.items()})

    small, large = made(encoder=3), made(encoder=3, color_head=4)
    kept = large["color_head"].weight.clone()
    assert load_initial_state(large, small.state_dict()) == []
    assert torch.equal(large["encoder"].weight, small["encoder"].weight)
    assert torch.equal(large["color_head"].weight, kept)
    assert load_initial_state(small, large.state_dict()) == ["color_head"]
    with pytest.raises(ValueError, match=r"parts encoder, and the weights .* are of head"):
        load_initial_state(small, made(head=3).state_dict())
    with pytest.raises(ValueError, match=r"1 missing \(encoder\.bias\)"):
        load_initial_state(large, {"encoder.weight": small["encoder"].weight})
    with pytest.raises(ValueError, match="2 of another shape"):
        load_initial_state(large, made(encoder=5).state_dict())


def test_only_allowed_targets_are_built() -> None:
    checkpoint = content()
    assert model_config(checkpoint) == {"_target_": "recon.models.Reconstructor"}
    checkpoint["config"] = {
        "model": {"_target_": "recon.models.R", "x": [{"_target_": "os.system"}]}
    }
    with pytest.raises(ValueError, match=r"would call 'os\.system'"):
        model_config(checkpoint)
    assert model_config(checkpoint, ("recon.models.", "os."))
    for config in ({}, {"model": None}, {"model": {"width": 3}}, "text"):
        with pytest.raises(ValueError, match=r"no model\._target_"):
            model_config({"config": config})


def test_random_states_come_back_through_a_file(tmp_path: Path) -> None:
    seed_everything(3)
    draws()
    save_checkpoint(tmp_path / "last.pt", {**content(), "random": random_states()})
    expected = draws()
    seed_everything(4)
    restore_random_states(load_checkpoint(tmp_path / "last.pt")["random"])
    assert draws() == expected


def test_seeding_decides_all_generators() -> None:
    seed_everything(11)
    first = draws()
    seed_everything(11)
    assert draws() == first
    seed_everything(12)
    assert all(a != b for a, b in zip(draws(), first, strict=True))


def test_a_preserved_block_leaves_no_trace_even_when_it_fails() -> None:
    seed_everything(5)
    expected = draws()
    seed_everything(5)

    def disturb() -> None:
        with preserved_random_states():
            draws()
            raise KeyError("inside")

    with pytest.raises(KeyError):
        disturb()
    assert draws() == expected


def test_a_checkpoint_of_the_first_version_is_read(tmp_path: Path) -> None:
    old = content(best_iou=0.5)
    torch.save({"format": checkpoints.FORMAT, "version": 1, **old}, tmp_path / "best.pt")
    loaded = load_checkpoint(tmp_path / "best.pt")
    assert loaded["version"] == checkpoints.VERSION
    assert (loaded["best_iou"], loaded["skipped"], loaded["stopped"]) == (0.5, 0, None)
    assert len(loaded["random"]) == 1
    restore_random_states(loaded["random"][0])
