"""The benchmark runs as its users run it; its figures agree with each other and with oracles."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).parents[3] / "scripts" / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import benchmark_rasterizer

    return benchmark_rasterizer


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_times_quick_cases_and_writes_them_down(benchmark, capsys, tmp_path) -> None:  # type: ignore[no-untyped-def]
    threads = torch.get_num_threads()
    path = tmp_path / "times.csv"
    benchmark.main(["--quick", "--threads", "1", "2", "--repeats", "2", "--csv", str(path)])
    assert torch.get_num_threads() == threads
    rows = read(path)
    assert list(rows[0]) == [*benchmark.TIME_COLUMNS, *benchmark.CSV_COLUMNS]
    assert [row["threads"] for row in rows] == ["1", "2"] * len(benchmark.QUICK_CASES)
    for row in rows:
        forward_only = row["kind"] in ("hard", "visible")
        for name in ("forward",) if forward_only else ("forward", "both"):
            milliseconds, pairs = float(row[f"{name}_ms"]), float(row["pairs"])
            assert pairs > 0
            assert 0 < float(row[f"{name}_best_ms"]) <= milliseconds
            assert float(row[f"{name}_ns"]) == pytest.approx(1e6 * milliseconds / pairs)
            assert float(row[f"{name}_mpairs"]) == pytest.approx(1e3 / float(row[f"{name}_ns"]))
            assert float(row[f"{name}_peak"]) > 0
            if row["threads"] == "1":
                assert float(row[f"{name}_speedup"]) == 1
        if forward_only:
            assert row["both_ms"] == ""
    printed = capsys.readouterr().out
    table = [line for line in printed.splitlines() if line.split()[:1] in (["rgb"], ["hard"])]
    assert len(table) == 4
    assert "80 to 320 faces, both" in printed


def test_the_table_is_aligned_and_shows_what_is_missing(benchmark, capsys) -> None:  # type: ignore[no-untyped-def]
    columns = {"kind": ("kind", 6, "s"), "ms": ("fwd ms", 8, ".2f")}
    rows = [{"kind": "rgb", "ms": 1.234, "more": 1}, {"kind": "hard"}]
    assert benchmark.print_table(iter(rows), columns) == rows
    assert capsys.readouterr().out == ("  kind    fwd ms\n   rgb      1.23\n  hard         -\n")


def test_cases_are_chosen_by_substring(benchmark, capsys) -> None:  # type: ignore[no-untyped-def]
    benchmark.main(["--list", "--cases", "rgb size=256 faces=5856", "hard"])
    names = capsys.readouterr().out.splitlines()
    assert len(names) == 3
    assert all("faces=5856" in name or name.startswith("hard") for name in names)


def test_refuses_no_threads(benchmark, capsys) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit):
        benchmark.main(["--quick", "--threads", "0"])
    assert "--threads" in capsys.readouterr().err


def test_threads_take_turns_and_budget_ends_them(benchmark) -> None:  # type: ignore[no-untyped-def]
    seen = []
    threads = torch.get_num_threads()

    def run() -> None:
        seen.append(torch.get_num_threads())
        time.sleep(0.002)

    try:
        times = benchmark.measure({"both": run}, [1, 2], repeats=50, budget=0.0, device="cpu")
    finally:
        torch.set_num_threads(threads)
    assert seen == [1, 1, 2, 2, 1, 2, 1, 2]  # each is warmed up once; then three turns
    assert {key: len(own) for key, own in times.items()} == {(1, "both"): 3, (2, "both"): 3}
    assert all(elapsed.wall >= 0.002 for own in times.values() for elapsed in own)


def test_figures_of_a_case_follow_from_its_times(benchmark) -> None:  # type: ignore[no-untyped-def]
    case = benchmark.Case("silhouette", 2, 16, 80)
    walls = {
        (1, "forward"): [0.2, 0.4, 0.3],
        (1, "both"): [0.6, 0.9, 0.6],
        (2, "forward"): [0.1, 0.2, 0.2],
        (2, "both"): [0.4, 0.4, 0.2],
    }
    times = {key: [benchmark.Elapsed(wall, 9.0) for wall in own] for key, own in walls.items()}
    peaks = {1: benchmark.Peak(1e9, 1e9), 2: benchmark.Peak(2e9, 1e9)}
    row = benchmark.time_row(case, 1000.0, 2, 1, times, peaks)
    forward, backward = (benchmark.WORK["silhouette", way] for way in ("forward", "backward"))
    operations = sum(w.pair * 1000 + w.face * 160 + w.pixel * 512 for w in (forward, backward))
    assert row["pairs"] == 500
    assert row["forward_ms"] == pytest.approx(100)
    assert row["both_ns"] == pytest.approx(0.4e6)
    assert row["both_peak"] == pytest.approx(100 * operations / 0.4 / 2e9)
    assert row["forward_speedup"] == pytest.approx(2)  # of 2, 2 and 1.5
    assert row["both_speedup"] == pytest.approx(2.25)  # of 1.5, 2.25 and 3


def test_a_call_is_timed_by_the_clock_and_by_the_processor(benchmark) -> None:  # type: ignore[no-untyped-def]
    asleep = benchmark.timed(lambda: time.sleep(0.05), "cpu")
    assert asleep.wall >= 0.05
    assert 0 <= asleep.processor < asleep.wall

    def work() -> None:
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass

    working = benchmark.timed(work, "cpu")
    assert working.processor >= 0.02


def test_the_ratio_is_the_median_of_those_of_the_turns(benchmark) -> None:  # type: ignore[no-untyped-def]
    assert benchmark.median_ratio([2.0, 6.0, 90.0], [1.0, 2.0, 3.0]) == 3
    with pytest.raises(ValueError, match="longer"):
        benchmark.median_ratio([1.0], [1.0, 2.0])


def test_flatness_compares_rows_that_differ_in_faces_only(benchmark) -> None:  # type: ignore[no-untyped-def]
    same = {"kind": "rgb", "image_size": 64, "images": 1, "sigma": 1e-5, "gamma": 1e-4}
    rows = [
        {**same, "threads": 1, "faces": 80, "forward_ns": 2.0},
        {**same, "threads": 1, "faces": 320, "forward_ns": 5.0},
        {**same, "threads": 2, "faces": 320, "forward_ns": 50.0},
    ]
    (line,) = benchmark.flatness(rows)
    assert "threads=1" in line
    assert "80 to 320 faces, forward: 2.00 to 5.00 ns, x2.50" in line


def test_measures_the_peak_of_this_machine(benchmark) -> None:  # type: ignore[no-untyped-def]
    peak = benchmark.measure_peak("cpu", quick=True)
    assert 1e8 < peak.operations < 1e14
    assert 1e7 < peak.bytes < 1e13


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_growth_sees_a_peak_that_is_gone_at_the_end(benchmark) -> None:  # type: ignore[no-untyped-def]
    megabytes = 64

    def run() -> None:
        torch.ones(megabytes << 18)

    run()  # memory of an earlier peak must not hide this one
    assert 0.95 * megabytes < benchmark.growth(run, "cpu") / (1 << 20) < 1.3 * megabytes


def test_memory_is_measured_in_a_process_of_its_own(benchmark, capsys, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "memory.csv"
    arguments = ["--quick", "--memory", "--cases", "rgb", "--threads", "1", "--csv", str(path)]
    benchmark.main(arguments)
    (row,) = read(path)
    assert list(row) == list(benchmark.MEMORY_COLUMNS)
    assert float(row["bound_mb"]) == pytest.approx(1e-6 * (100 * 256 + 400 * 80))
    assert float(row["growth_mb"]) >= 0
    assert float(row["bytes_per_face"]) == pytest.approx(float(row["bytes_per_pixel"]) * 256 / 80)
    assert "of bound" in capsys.readouterr().out
