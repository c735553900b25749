"""The command line progress_film.py, on a run of train.py that was resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from PIL import Image

from recon.training.tracked_objects import step_files

Run = Callable[..., CompletedProcess[str]]


def test_the_film_of_a_resumed_run(run_script_here: Run, shapes_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = [
        "experiment=smoke",
        f"data.path={shapes_file}",
        f"output_dir={run}",
        "trainer.validate_every=2",
        "trainer.show_objects=2",
    ]
    for steps in (2, 4):
        done = run_script_here("train.py", *settings, f"trainer.max_steps={steps}")
        assert done.returncode == 0, done.stderr
    assert [step for step, _ in step_files(run / "progress")] == [2, 4]

    made = run_script_here("scripts/progress_film.py", str(run), "--seconds", "2")
    assert made.returncode == 0, made.stderr
    assert made.stdout == f"2 frames: {run / 'progress.gif'}\n"
    with Image.open(run / "progress.gif") as gif:
        assert gif.n_frames == 2

    failed = run_script_here("scripts/progress_film.py", str(tmp_path))
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
