"""The folder of a fit belongs to one fit, and holds what every fit writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from recon.fitting.fit import Fit, fit
from recon.fitting.run import FitFolder, fingerprint, silhouette_iou
from recon.runs.directory import read_json, write_json
from recon.runs.results import OtherResultError

IMAGE = Image.new("RGB", (4, 4))


def config(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    return {"image": str(tmp_path / "image.png"), "steps": [5, 7], "progress": None, **changes}


@pytest.fixture
def folder(tmp_path: Path) -> FitFolder:
    (tmp_path / "image.png").write_bytes(b"some image")
    return FitFolder(tmp_path / "run", config(tmp_path), ("image",))


def write(folder: FitFolder) -> dict[str, Any]:
    with folder.writing():
        return folder.write({"loss": 0.5}, [parabola()], IMAGE, [np.zeros((4, 4, 3), np.uint8)])


def parabola() -> Fit:
    x = torch.ones(1)
    return fit({"x": x}, lambda step: x.square().sum(), 3)


def test_what_every_fit_writes(folder: FitFolder) -> None:
    result = write(folder)
    assert read_json(folder.path / "result.json") == result
    assert result["loss"] == 0.5
    assert result["interrupted"] is False
    assert result["settings"] == folder.config
    assert {path.name for path in folder.path.iterdir()} - {".lock"} == {
        "result.json",
        "comparison.png",
        "course.gif",
        "history.csv",
        "history.png",
    }


def test_the_same_fit_may_be_written_again(folder: FitFolder, tmp_path: Path) -> None:
    write(folder)
    other = FitFolder(folder.path, config(tmp_path, progress=True), ("image",))
    assert write(other)["settings"]["progress"] is True
    # The image counts, and not where it lies.
    (tmp_path / "moved.png").write_bytes(b"some image")
    moved = config(tmp_path, image=str(tmp_path / "moved.png"))
    write(FitFolder(folder.path, moved, ("image",)))


def test_another_fit_is_refused_and_nothing_is_touched(folder: FitFolder, tmp_path: Path) -> None:
    write(folder)
    before = (folder.path / "result.json").read_bytes()
    other = FitFolder(folder.path, config(tmp_path, steps=[5, 8]), ("image",))
    with pytest.raises(OtherResultError, match=r"another result \(steps.1 differ\)"):
        write(other)
    (tmp_path / "image.png").write_bytes(b"another image")
    with pytest.raises(OtherResultError, match=r"another result \(image differ\)"):
        write(folder)
    assert (folder.path / "result.json").read_bytes() == before
    replaced = FitFolder(folder.path, config(tmp_path, overwrite=True), ("image",))
    write(replaced)
    assert (folder.path / "result.json").read_bytes() != before


def test_results_without_fingerprints_are_told_by_the_names_of_their_inputs(
    folder: FitFolder, tmp_path: Path
) -> None:
    folder.path.mkdir()
    write_json(folder.path / "result.json", {"settings": config(tmp_path)})
    with folder.writing():
        pass
    write_json(folder.path / "result.json", {"settings": config(tmp_path, image="b.png")})
    with pytest.raises(OtherResultError, match=r"\(image differ\)"), folder.writing():
        pass
    for edited in ({"iou": 1}, {"settings": config(tmp_path), "inputs": [1]}):
        write_json(folder.path / "result.json", edited)
        with pytest.raises(OtherResultError, match="is not the result of a fit"), folder.writing():
            pass


def test_two_processes_do_not_write_into_one_folder(folder: FitFolder) -> None:
    folder.path.mkdir()
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); input(1)"
    command = [sys.executable, "-c", hold, str(folder.path / ".lock")]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.read(1) == b"1"
        with pytest.raises(ValueError, match="another process is fitting"), folder.writing():
            pass
        other.communicate(b"\n")
    with folder.writing():
        pass


def test_fingerprints_are_of_contents(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "a.png").write_bytes(b"a")
    one, two = tmp_path / "one", tmp_path / "two"
    assert fingerprint(one) == fingerprint(two) != fingerprint(one / "inner")
    (two / "inner" / "a.png").write_bytes(b"b")
    assert fingerprint(one) != fingerprint(two)
    assert fingerprint(tmp_path / "absent") is None


def test_silhouettes_are_cut_at_one_half() -> None:
    alpha = torch.tensor([[0.9, 0.6, 0.4, 0.0]])
    assert silhouette_iou(alpha, torch.tensor([[1.0, 0.0, 1.0, 0.0]])) == pytest.approx(1 / 3)
    assert silhouette_iou(0 * alpha, 0 * alpha) == 0
