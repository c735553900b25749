"""The film of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from recon.datasets.multiview import MultiViewDataset
from recon.runs.trained_models import load_trained_model
from recon.training.progress_film import CELL, GAP, LINE, caption, draw_frame, film, thinned
from recon.training.tracked_objects import TrackedObjects, read_tracked


@pytest.fixture
def run(shapes_file: Path, tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A run directory of two validations, the second with a larger prediction."""
    model = load_trained_model(tiny_checkpoint).model
    tracked = TrackedObjects(tmp_path / "progress", MultiViewDataset(shapes_file, "test"), 2, 0)
    tracked.show(model, 10)
    with torch.no_grad():
        model.decoder.offset.bias += 1.5
    tracked.show(model, 20)
    (tmp_path / "validation.csv").write_text("step,iou\n10,0.25\n20,0.5\n")
    return tmp_path


def test_the_film_has_a_frame_for_every_step_and_is_the_same_again(run: Path) -> None:
    assert film(run, run / "a.gif", seconds=1.0, rest=0.5) == 2
    film(run, run / "b.gif", seconds=1.0, rest=0.5)
    assert (run / "a.gif").read_bytes() == (run / "b.gif").read_bytes()
    with Image.open(run / "a.gif") as gif:
        assert gif.n_frames == 2
        assert gif.size == (4 * (CELL + GAP) + GAP, 2 * LINE + 2 * (CELL + GAP) + GAP)
        durations = []
        for frame in range(2):
            gif.seek(frame)
            durations.append(gif.info["duration"])
        assert durations == [500, 500]


def test_frames_show_what_changes_and_what_does_not(run: Path) -> None:
    folder = run / "progress"
    small, large = (
        draw_frame(read_tracked(folder, folder / f"step_000000{step}.npz"), "") for step in (10, 20)
    )
    changed = (small != large).any(-1).any(0)
    columns = [slice(GAP + k * (CELL + GAP), (k + 1) * (CELL + GAP)) for k in range(4)]
    assert [bool(changed[column].any()) for column in columns] == [False, True, True, False]
    covered = [(frame[2 * LINE :, columns[1]] < 250).any(-1).mean() for frame in (small, large)]
    assert covered[1] > 1.5 * covered[0]


def test_captions_and_thinning() -> None:
    assert caption(500, 0.3456) == "step 500   validation IoU 34.6 %"
    assert caption(500, None) == "step 500"
    steps = [(step, Path(str(step))) for step in range(11)]
    assert [step for step, _ in thinned(steps, 3)] == [0, 5, 10]
    assert thinned(steps, 11) == steps


def test_a_run_that_shows_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"shows no objects"):
        film(tmp_path, tmp_path / "a.gif")
    with pytest.raises(ValueError, match=r"must end in \.gif"):
        film(tmp_path, tmp_path / "a.mp4")
