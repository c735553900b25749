from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.hdf5 import open_dataset

ROOT = Path(__file__).parents[2]
RENDERING = [
    "rendering.image_size=16",
    "rendering.supersample=1",
    "rendering.voxel_resolutions=[8]",
]
SMALL = ["source=shapes", *RENDERING]


def command(*overrides: str) -> list[str]:
    return [sys.executable, str(ROOT / "scripts/prepare_data.py"), *overrides]


def environment(**changes: str) -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **changes}


def run(folder: Path, *overrides: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*overrides), cwd=folder, env=environment(**changes), capture_output=True, text=True
    )


def test_shapes_are_prepared_once_and_reported(tmp_path: Path) -> None:
    wanted = [*SMALL, "source.objects_per_category=3", "output=x.h5"]
    first = run(tmp_path, *wanted)
    assert first.returncode == 0, first.stderr
    assert "all          13    13    13   39".replace(" ", "") in first.stdout.replace(" ", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.h5", "x.h5.preview.png"]
    assert len(MultiViewDataset(tmp_path / "x.h5", "val")) == 13
    again = run(tmp_path, *wanted)
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stdout


def test_training_objects_are_deformed_on_demand(tmp_path: Path) -> None:
    wanted = [*SMALL, "source.objects_per_category=3", "source.categories=[chair]", "output=x.h5"]
    done = run(tmp_path, *wanted, "augmentation=deformed", "augmentation.copies=1")
    assert done.returncode == 0, done.stderr
    data = MultiViewDataset(tmp_path / "x.h5")
    assert data.ids[3:] == ["chair-0-00000-deformed-0-000"]
    assert data.splits == ["train", "val", "test", "train"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([*SMALL, "source.categories=[spoon]"], "unknown category 'spoon'"),
        ([*SMALL, "rendering.image_size=0"], "image_size"),
        ([*SMALL, "fallback=spoons"], "fallback must be the name of a source (debian"),
        (["source=spoons"], "spoons"),
        (["source=images"], "give source.folder=VALUE"),
        (["source=nmr", "source.folder=gone", "rendering.fit=true"], "folder not found: gone"),
        (["source=debian", "source.manifest=gone.tsv"], "table not found: gone.tsv"),
    ],
)
def test_bad_input_is_one_message(
    tmp_path: Path, run_script_here, overrides: list[str], message: str
) -> None:
    result = run_script_here("scripts/prepare_data.py", f"output={tmp_path}/x.h5", *overrides)
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "x.h5").exists()


@pytest.fixture
def unreachable(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Ask for a package of a table of one's own, of which apt knows nothing."""
    script = '#!/bin/sh\necho "E: Unable to locate package no-such-toys" >&2\nexit 100\n'
    (tmp_path / "apt-get").write_text(script)
    (tmp_path / "apt-get").chmod(0o755)
    header = (ROOT / "data/debian_models.tsv").read_text(encoding="utf-8").splitlines()[0]
    row = "no-such-toys\ta.obj\t03001627\tx\tCC0-1.0\tx\t+z,+y\t\t1\tholdout"
    (tmp_path / "m.tsv").write_text(f"{header}\n{row}\n")

    def ask(*overrides: str) -> subprocess.CompletedProcess[str]:
        return run(
            tmp_path,
            "source=debian",
            "source.manifest=m.tsv",
            f"source.packages={ROOT / 'data/debian_packages.tsv'}",
            "output=x.h5",
            *RENDERING,
            *overrides,
            PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        )

    return ask


def test_missing_package_of_a_users_table(tmp_path: Path, unreachable) -> None:
    result = unreachable()
    assert result.returncode != 0
    assert "Debian package no-such-toys (newest) cannot be fetched" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "x.h5").exists()


def test_a_source_out_of_reach_has_a_substitute(tmp_path: Path, unreachable) -> None:
    result = unreachable("fallback=shapes", "workers=1")
    assert result.returncode == 0, result.stderr
    assert "no-such-toys (newest) cannot be fetched" in result.stdout
    assert "*** using source=shapes instead ***" in result.stdout
    with open_dataset(tmp_path / "x.h5") as file:
        assert file.attrs["source"] == "shapes"
        assert file.attrs["command"].endswith("fallback=shapes workers=1")
    again = unreachable("fallback=shapes")
    assert again.returncode == 0, again.stderr
    assert "x.h5 was made of source=shapes, as before" in again.stdout
    assert "nothing to do" in again.stdout


def running_in(folder: Path) -> list[str]:
    """Returns the ids of the processes whose working folder is `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(process / "cwd") == str(folder):
                found.append(process.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs /proc")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path, workers: int) -> None:
    wanted = [*SMALL, "source.objects_per_category=2", "output=x.h5", f"workers={workers}"]
    wanted += [
        "rendering.image_size=128",
        "rendering.supersample=8",
    ]  # slow enough to be caught in the act
    parts = tmp_path / "x.h5.parts"
    with subprocess.Popen(
        command(*wanted), cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL
    ) as process:
        for _ in range(6000):
            if parts.is_dir() and any(parts.glob("[!.]*.npz")):
                break
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    for _ in range(500):  # the workers end too
        if not running_in(tmp_path):
            break
        time.sleep(0.01)
    assert running_in(tmp_path) == []
    done = len(list(parts.glob("[!.]*.npz")))
    assert 1 <= done < 26
    assert not (tmp_path / "x.h5").exists()
    result = run(tmp_path, *wanted, "workers=1")
    assert result.returncode == 0, result.stderr
    assert f"{done} of 26 objects are done already" in result.stdout
    assert not parts.exists()
    assert len(MultiViewDataset(tmp_path / "x.h5")) == 26
