"""The benchmark of reading data runs as its users run it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recon.datasets.storage.hdf5 import open_dataset, read_layout

SCRIPTS = Path(__file__).parents[3] / "scripts" / "benchmarks"
SHORT = ["--size", "0.004", "--batch-size", "4", "--batches", "5", "--repeats", "2"]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import benchmark_data

    return benchmark_data


def test_every_reader_has_a_row_warm_and_cold(benchmark, capsys, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "kept.h5"
    rows = benchmark.main([*SHORT, "--workers", "0", "1", "--keep", str(path)])
    names = ["floor", "loader, 0 workers", "loader, 1 worker"]
    assert [row["reader"] for row in rows if row["state"] == "cold"] == names
    assert [row["reader"] for row in rows if row["state"] == "warm"] == [*names, "  hand-over of 1"]
    for row in rows:
        assert row["rate"] * row["microseconds"] == pytest.approx(1e6)
        assert row["megabytes"] == pytest.approx(row["rate"] * 0.016384)
        assert (row["share"] == 1) == (row["reader"] == "floor")
    printed = capsys.readouterr().out
    assert "images of 64x64, compression none (1.0 : 1)" in printed
    assert printed.count("of floor") == 2
    made = path.stat().st_mtime_ns
    benchmark.main([*SHORT[2:], "--repeats", "1", "--workers", "0", "--keep", str(path)])
    assert path.stat().st_mtime_ns == made


def test_the_floor_reads_the_bytes_that_training_gets(benchmark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "x.h5"
    benchmark.make_file(path, 3e6, "none")
    reading = benchmark.Reading(path, "warm", 4, 2, 3)
    content = path.read_bytes()
    batches = [reading.batches[benchmark.HEAD + k]["images"] for k in range(3)]
    expected = np.concatenate([batch.numpy().reshape(-1, 4, 64, 64) for batch in batches])
    assert len(reading.places) == reading.images == len(expected)
    for (address, size), image in zip(reading.places, expected, strict=True):
        assert content[address : address + size] == image.tobytes()


def test_objects_differ_but_not_their_outlines(benchmark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    benchmark.make_file(tmp_path / "x.h5", 3e6, "lzf")
    with open_dataset(tmp_path / "x.h5") as file:
        images, stored = file["images"][:], file["images"].id.get_storage_size()
        assert set(file["splits"].asstr()[:]) == {"warm", "rest"}
        layout = read_layout(file)
    assert 2 < images.nbytes / stored < 10  # as renderings with textures
    assert 0.02 < (images[:, :, 3] > 0).mean() < 0.9
    first, again = benchmark.vary([{"images": images[0]}], layout, 2)
    assert np.array_equal(first["images"][:, 3], again["images"][:, 3])
    assert not np.array_equal(first["images"][:, :3], again["images"][:, :3])


@pytest.mark.parametrize("arguments", [["--size", "0"], ["--workers", "-1"], ["--views", "0"]])
def test_bad_arguments(benchmark, arguments: list[str]) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit):
        benchmark.main(arguments)
