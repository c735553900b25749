"""Every mode is timed against the default; pairs and reasons are those of the modes."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch

from renderer_cuda.validation import COLORS, LAYER_MODES, MODES

SCRIPTS = Path(__file__).parents[3] / "scripts" / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import benchmark_modes

    return benchmark_modes


@pytest.fixture
def scene(benchmark):  # type: ignore[no-untyped-def]
    return benchmark.make_scene(benchmark.QUICK_SCENE)


def test_times_every_mode_and_writes_the_rows(benchmark, capsys, tmp_path) -> None:  # type: ignore[no-untyped-def]
    threads = torch.get_num_threads()
    path = tmp_path / "modes.csv"
    benchmark.main(["--quick", "--repeats", "1", "--csv", str(path)])
    assert torch.get_num_threads() == threads
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    modes = list(benchmark.every_mode())
    assert [row["mode"] for row in rows] == [mode.name for mode in modes]
    for mode, row in zip(modes, rows, strict=True):
        for kind in benchmark.KINDS:
            for figure in ("forward_wall", "both_wall", "forward_cpu", "both_cpu", "both_ms"):
                value = row[f"{kind}_{figure}"]
                assert (value != "") == (kind in mode.kinds)
                assert value == "" or 0 < float(value) < math.inf
        assert (row["pairs"] == "") == (mode.renderer is not None)
    printed = capsys.readouterr().out
    assert "denormals" in printed
    assert "threads=1" in printed
    assert all(mode.name in printed for mode in modes)


def test_the_modes_are_all_that_the_rasterizer_has(benchmark) -> None:  # type: ignore[no-untyped-def]
    modes = list(benchmark.every_mode())
    assert len({mode.name for mode in modes}) == len(modes)
    for argument, values in (MODES | LAYER_MODES | {"color": COLORS}).items():
        timed = {mode.arguments.get(argument, values[0]) for mode in modes}
        assert timed == set(values), argument
    not_squared = [mode for mode in modes if mode.arguments.get("squared") is False]
    names = {mode.arguments.get("distribution", "logistic") for mode in not_squared}
    assert names == set(MODES["distribution"])
    assert {mode.renderer for mode in modes} == {None, "nmr", "dibr", "edge"}


def test_modes_are_chosen_by_words_and_unknown_ones_are_refused(benchmark, capsys) -> None:  # type: ignore[no-untyped-def]
    benchmark.main(["--list", "--only", "distribution=levy_rev", "renderer"])
    names = capsys.readouterr().out.splitlines()
    assert len(names) == 6
    assert all("levy_rev" in name or name.startswith("renderer=") for name in names)
    with pytest.raises(SystemExit) as ended:
        benchmark.main(["--only", "alpha=yager", "alpha=product2"])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "--only" in message
    assert "'alpha=product2'" in message


@pytest.mark.parametrize("sigma", [1e-5, 1e-3])
def test_pairs_of_the_default_are_those_counted_by_geometry(benchmark, sigma: float) -> None:  # type: ignore[no-untyped-def]
    import benchmark_cases

    case = benchmark.Case("rgb", 1, 16, 80, sigma)
    scene = benchmark.make_scene(case)
    torch.testing.assert_close(scene.face_vertices, benchmark_cases.make_faces(case))
    counted = benchmark_cases.count_pairs(scene.face_vertices, 16, sigma)
    assert benchmark.count_shown(benchmark.Mode(), scene) == counted


def test_pairs_follow_the_support_of_the_mode(benchmark, scene) -> None:  # type: ignore[no-untyped-def]
    def pairs(**arguments: object) -> int:
        return int(benchmark.count_shown(benchmark.Mode(arguments), scene))

    default = pairs()
    assert pairs(distribution="uniform") < default < pairs(distribution="cauchy")
    assert pairs(distribution="levy_rev") == 80 * 16**2  # the whole image for every face
    assert pairs(alpha="hard") == pairs(alpha="yager", alpha_parameter=3.0) == default
    assert pairs(color="over", window="incenter", sigma=1.0) == pairs(distance="hard")


def test_a_baseline_is_compared_with_the_soft_renderer(benchmark, scene) -> None:  # type: ignore[no-untyped-def]
    mode = benchmark.Mode(renderer="edge")
    assert mode.default == benchmark.Mode(renderer="color")
    for kind in benchmark.KINDS:
        soft, leaves = benchmark.renderer_render("color", kind, scene)
        direct, corners = benchmark.rasterizer_render(
            benchmark.Mode(), kind, scene.case, scene.face_vertices
        )
        if kind == "rgb":
            corners["face_textures"] = leaves["face_textures"]
        torch.testing.assert_close(soft(**leaves), direct(**corners))
        hard, leaves = benchmark.renderer_render("edge", kind, scene)
        alpha = hard(**leaves) if kind == "silhouette" else hard(**leaves)[:, 3]
        assert set(alpha.unique().tolist()) == {0.0, 1.0}


def test_figures_are_medians_of_turns_by_the_clock_and_by_the_processor(  # type: ignore[no-untyped-def]
    benchmark, scene, monkeypatch
) -> None:
    from benchmark_rasterizer import Elapsed

    def measured(runs, threads, *_):  # type: ignore[no-untyped-def]
        walls = {name: [1.0, 2.0, 4.0] for name in runs}
        walls["rgb both"] = [5.0, 4.0, 12.0]
        return {
            (threads[0], name): [Elapsed(wall, 2.0 if name == "rgb both" else 0.5) for wall in own]
            for name, own in walls.items()
        }

    monkeypatch.setattr(benchmark, "measure", measured)
    row = benchmark.time_mode(benchmark.Mode({"color": "over"}), scene, 1, 3, 1.0)
    assert row == {
        "mode": "color=over",
        "rgb_forward_wall": 1.0,
        "rgb_forward_cpu": 1.0,
        "rgb_forward_ms": 250.0,  # 0.5 s for two images
        "rgb_both_wall": 3.0,  # of 5, 2 and 3
        "rgb_both_cpu": 4.0,
        "rgb_both_ms": 1000.0,
    }


@pytest.mark.parametrize(
    ("mode", "slowest", "pairs", "expected"),
    [
        ({"arguments": {"color": "over"}}, 3.0, 1.0, ""),
        ({"arguments": {"color": "over"}}, 3.1, 1.0, "layers: 1 times the pairs, held and sorted"),
        (
            {"arguments": {"texture": "surface"}},
            4.2,
            1.0,
            "arithmetic: a pair costs 4.2 times as much",
        ),
        ({"arguments": {"color": "over"}}, 30.0, 20.0, "support: 20 times the pairs"),
        ({"renderer": "nmr"}, 5.0, None, "torch operations in place of kernels"),
    ],
)
def test_a_slow_mode_tells_why(benchmark, mode, slowest, pairs, expected) -> None:  # type: ignore[no-untyped-def]
    mode = benchmark.Mode(**mode)
    row = {f"{kind}_{way}_cpu": 1.0 for kind in mode.kinds for way in benchmark.WAYS}
    row |= {"rgb_both_cpu": slowest} | ({} if pairs is None else {"pairs": pairs})
    assert benchmark.reason(mode, row) == expected
