"""The benchmark runs as its users run it, and its figures agree with each other."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).parents[3] / "scripts" / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import benchmark_preparation

    return benchmark_preparation


def test_times_stages_and_rates_and_writes_them_down(  # type: ignore[no-untyped-def]
    benchmark, capsys, tmp_path, monkeypatch
) -> None:
    # In this process: starting others takes seconds.
    monkeypatch.setattr(benchmark, "ProcessPoolExecutor", lambda count, _: Here())
    threads = torch.get_num_threads()
    path = tmp_path / "times.csv"
    options = ["--faces", "80", "320", "--image-size", "16", "--repeats", "2", "--seconds", "0.1"]
    benchmark.main([*options, "--processes", "2", "--csv", str(path)])
    assert torch.get_num_threads() == threads
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    totals: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row["stage"]:
            totals[row["surface"], row["faces"]][row["stage"]] = float(row["ms"])
    assert len(totals) == 4
    for (surface, _), stages in totals.items():
        whole = stages.pop("all")
        assert sum(stages.values()) == pytest.approx(whole)
        assert min(stages.values()) > 0
        assert ("texture" in stages) == (surface == "textured")
        assert {"project", "light", "see", "colour", "average", "voxels", "rest"} <= set(stages)
    rates = [row for row in rows if row["processes"]]
    assert len(rates) == 4
    for row in rates:
        assert float(row["images"]) == pytest.approx(24 * float(row["rate"]))
        assert float(row["rate"]) > 1
    assert "objects/s" in capsys.readouterr().out


class Here:
    """Calls at once, in this process."""

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, function, *arguments):  # type: ignore[no-untyped-def]
        threads = torch.get_num_threads()
        value = function(*arguments)
        torch.set_num_threads(threads)  # a process of its own would have kept its setting to itself

        class Done:
            def result(self):  # type: ignore[no-untyped-def]
                return value

        return Done()


def test_what_is_timed_is_what_it_was_afterwards(benchmark) -> None:  # type: ignore[no-untyped-def]
    before = [getattr(owner, name) for calls in benchmark.STAGES.values() for owner, name in calls]
    with benchmark.watched():
        pass
    after = [getattr(owner, name) for calls in benchmark.STAGES.values() for owner, name in calls]
    assert before == after


def test_refuses_no_processes(benchmark, capsys) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit):
        benchmark.main(["--processes", "0"])
    assert "--processes" in capsys.readouterr().err
