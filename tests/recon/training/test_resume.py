"""What a run continues from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from recon.datasets.framing import usual_framing
from recon.runs.checkpoints import save_checkpoint
from recon.runs.directory import RunDirectory
from recon.runs.weight_files import save_weights
from recon.training.distributed import Processes
from recon.training.resume import RunState
from recon.training.run_checkpoints import RunCheckpoints


def make_state(seed: int, initial: str | None = None) -> RunState:
    torch.manual_seed(seed)
    model = nn.ModuleDict({"encoder": nn.Linear(3, 2), "head": nn.Linear(2, 1)})
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return RunState(model, optimizer, Processes(), initial)


def weights(state: RunState) -> torch.Tensor:
    return torch.cat([value.flatten() for value in state.model.state_dict().values()])


def checkpoints_in(folder: Path) -> RunCheckpoints:
    run = RunDirectory(folder, {"seed": 0})
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    return RunCheckpoints(run)


def test_a_state_is_taken_up_as_it_was(tmp_path: Path) -> None:
    first = make_state(1)
    first.progress.step = 7
    first.progress.note_validation({"iou": 0.5})
    first.framing = {"fill": [0.1, 0.2, 0.3]}
    checkpoints = checkpoints_in(tmp_path)
    checkpoints.save_last(first.content())
    drawn = torch.rand(3)  # right after the state was noted

    second = make_state(2)
    assert not torch.equal(weights(second), weights(first))
    assert second.resume(checkpoints)
    assert torch.equal(weights(second), weights(first))
    assert second.progress.best_metrics == {"iou": 0.5}
    assert second.framing == first.framing
    assert torch.equal(torch.rand(3), drawn)
    steps = [state["step"] for state in second.optimizer.state_dict()["state"].values()]
    assert [float(step) for step in steps] == [1.0] * 4
    assert second.progress.seconds > 0


def test_a_new_run_starts_from_the_parts_of_an_initial_checkpoint(tmp_path: Path) -> None:
    source = make_state(1)
    parts = {k: v for k, v in source.model.state_dict().items() if k.startswith("encoder.")}
    save_checkpoint(tmp_path / "a.pt", {"model": parts, "optimizer": {}, "step": 9, "config": {}})
    state = make_state(2, initial=str(tmp_path / "a.pt"))
    own_head = state.model["head"].weight.clone()
    assert not state.resume(checkpoints_in(tmp_path / "run"))
    assert torch.equal(state.model["encoder"].weight, source.model["encoder"].weight)
    assert torch.equal(state.model["head"].weight, own_head)
    assert state.progress.step == 0

    state.model["head"].requires_grad_(False)
    with pytest.raises(ValueError, match=r"the parts of trainer\.frozen, got .*a\.pt, .* no head$"):
        state.resume(checkpoints_in(tmp_path / "run"))


def test_a_new_run_starts_from_a_model_of_the_package_without_the_parts_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = make_state(1)
    model = nn.ModuleDict({**source.model, "color_head": nn.Linear(2, 2)})
    checkpoint = {"config": {}, "step": 1, "framing": usual_framing().plain()}
    save_weights(tmp_path / "boxes.safetensors", model, checkpoint)
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path))
    state = make_state(2, initial="boxes")
    with caplog.at_level("INFO"):
        assert not state.resume(checkpoints_in(tmp_path / "run"))
    # Files of weights are stored in half precision.
    torch.testing.assert_close(weights(state), weights(source), atol=1e-3, rtol=1e-3)
    assert "boxes: the model has no color_head" in caplog.text
    with pytest.raises(FileNotFoundError, match="checkpoint balls: no such file or model; the mo"):
        make_state(2, initial="balls").resume(checkpoints_in(tmp_path / "run"))


def test_the_result_counts_the_seconds_of_all_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([100.0, 200.0, 203.0])
    monkeypatch.setattr("recon.training.resume.time.monotonic", lambda: next(now))
    state = make_state(1)
    state.progress.seconds = 10.0
    state.start_clock()
    result = state.result()
    assert result["seconds"] == 13.0
    assert result["figures"] is None
    assert "best_metrics" not in result
