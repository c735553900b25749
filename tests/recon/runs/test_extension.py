"""Longer runs: what their schedule does, and starts that do not say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recon.runs.directory import RunDirectory, RunRefusedError, read_config
from recon.runs.extension import extended_config, extension_hint


def config(max_steps: int, extend: str | None = None) -> dict[str, Any]:
    lr = {"_target_": "recon.schedules.WarmupCosine", "warmup_steps": 1, "max_steps": max_steps}
    constant = {"_target_": "recon.schedules.Constant"}
    return {
        "schedule": {"lr": lr, "sigma": constant},
        "trainer": {"max_steps": max_steps},
        "extend": extend,
    }


def lr_of(extended: dict[str, Any]) -> dict[str, Any]:
    assert extended["schedule"]["sigma"] == config(1)["schedule"]["sigma"]
    assert isinstance(extended["schedule"]["lr"], dict)
    return extended["schedule"]["lr"]


def test_a_schedule_is_kept_stretched_or_restarted() -> None:
    first = config(4)
    before = first["schedule"]["lr"]
    assert lr_of(extended_config(first, config(10, "keep"))) == before
    assert lr_of(extended_config(first, config(10, "stretch"))) == {**before, "max_steps": 10}
    assert lr_of(extended_config(first, config(10, "restart"))) == {
        "_target_": "recon.schedules.Chain",
        "first": before,
        "steps": 4,
        "then": {**before, "max_steps": 6},
    }


@pytest.mark.parametrize("extend", ["keep", "stretch", "restart"])
def test_the_same_command_again_changes_nothing(extend: str) -> None:
    once = extended_config(config(4), config(10, extend))
    assert extended_config(once, config(10, extend)) == once
    again = extended_config(once, config(20, extend))
    assert again["trainer"]["max_steps"] == 20
    if extend == "restart":
        assert lr_of(again)["first"] == lr_of(once)
        assert (lr_of(again)["steps"], lr_of(again)["then"]["max_steps"]) == (10, 10)


def test_what_does_not_concern_a_schedule_stays() -> None:
    assert extended_config(config(4), config(10)) == config(10)
    assert extended_config({}, config(10, "keep")) == config(10, "keep")
    with pytest.raises(ValueError, match="extend must be one of keep, stretch, restart or null"):
        extended_config(config(4), config(10, "on"))


def test_a_refusal_says_what_to_type() -> None:
    hint = "; a longer run says by extend=keep|stretch|restart what its schedule does"
    assert extension_hint(config(4), config(10)) == hint
    assert extension_hint(config(10), config(4)) == ""
    assert extension_hint(config(4), {**config(4), "seed": 1}) == ""
    assert extension_hint({}, {}) == ""


def test_a_run_directory_takes_a_longer_run_that_says_it(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path, config(4))
    with run.writing():
        (run.checkpoints / "last.pt").write_bytes(b"a checkpoint")
    message = r"schedule.lr.max_steps: 4 -> 10; a longer run says by extend=keep\|stretch"
    with pytest.raises(RunRefusedError, match=message):
        RunDirectory(tmp_path, config(10))
    for _ in range(2):
        longer = RunDirectory(tmp_path, config(10, "restart"))
        assert lr_of(longer.config)["_target_"] == "recon.schedules.Chain"
        with longer.writing():
            assert read_config(tmp_path) == longer.config
    with pytest.raises(RunRefusedError, match="seed"):
        RunDirectory(tmp_path, {**config(10, "restart"), "seed": 1})
