from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import h5py
import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = "scripts/inspect_data.py"

main = runpy.run_path(str(ROOT / SCRIPT))["main"]


@pytest.fixture
def file(shapes_file: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(shapes_file, tmp_path / "shapes.h5"))


def test_a_file_is_described_and_drawn(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(file), "--sample", "2", "--cameras"])
    out = capsys.readouterr().out
    assert "schema    recon.multiview" in out
    assert "sample    2 objects" in out
    assert out.splitlines()[-1].split() == ["all", "9", "3", "6", "18"]
    assert "one data set" not in out
    assert sorted(path.name for path in file.parent.iterdir()) == [
        "shapes.h5",
        "shapes.h5.cameras.png",
        "shapes.h5.preview.png",
    ]


def test_a_failure_is_told_to_the_shell(
    file: Path, run_script: Callable[..., CompletedProcess[str]]
) -> None:
    result = run_script(SCRIPT, str(file.with_name("gone.h5")))
    assert result.returncode == 1
    assert result.stderr.startswith("error: data set not found")
    assert len(result.stderr.splitlines()) == 1


def test_several_files_have_one_table(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(file, file.with_name("shapes2.h5"))
    main([str(file.parent / "*.h5"), "--sample", "1"])
    out = capsys.readouterr().out
    assert "airplane      6    2     4   12" in out
    assert "these files are not one data set: object 'train-airplane-0' is in" in out


def test_everything_is_read_and_damage_is_told_to_the_shell(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(file), "--verify"])
    assert capsys.readouterr().out == f"{file}: all checksums hold\n"
    other = Path(shutil.copy(file, file.with_name("other.h5")))
    with h5py.File(other, "r+") as stored:
        stored["images"][3, 2, 0, 5, 5] ^= 4
        name = stored["ids"].asstr()[3]
    old = Path(shutil.copy(file, file.with_name("old.h5")))
    with h5py.File(old, "r+") as stored:
        del stored["checksums"]
    with pytest.raises(SystemExit, match="error: 1 of 3 files are damaged"):
        main([str(file), str(other), str(old), "--verify"])
    lines = capsys.readouterr().out.splitlines()
    assert "1 of 432 pieces are damaged" in lines[1]
    assert name in lines[1]
    assert "earlier versions stored no checksums" in lines[2]
    assert len(list(file.parent.iterdir())) == 3  # nothing is drawn


def test_the_sheet_goes_where_it_is_told(file: Path) -> None:
    main([str(file), "--sample", "1", "--output", str(file.parent / "sheet.png")])
    assert sorted(path.name for path in file.parent.iterdir()) == ["shapes.h5", "sheet.png"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100_000])


def foreign(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, r"^error: data set not found: .*shapes\.h5"),
        (cut, r"^error: .*shapes\.h5 is truncated or damaged"),
        (lambda path: path.write_text("hello"), r"^error: .*shapes\.h5 is not an HDF5 file"),
        (foreign, r"^error: .*shapes\.h5: attribute schema must be .* got None"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(
    file: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(file)
    with pytest.raises(SystemExit, match=message) as caught:
        main([str(file)])
    assert "\n" not in str(caught.value)


def test_bad_arguments(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="--output names one image, but there are 2 files"):
        main([str(file), str(file), "--output", "x.png"])
    with pytest.raises(SystemExit):
        main([str(file), "--sample", "-1"])
    assert "--sample: must be a whole number >= 0, got '-1'" in capsys.readouterr().err
