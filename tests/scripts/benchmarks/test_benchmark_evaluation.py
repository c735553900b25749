"""The benchmark of evaluations runs as its users run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from recon.datasets.multiview import MultiViewDataset
from recon.models import MeshDecoder, Reconstructor, SoftRasEncoder
from recon.runs.checkpoints import save_checkpoint

SCRIPTS = Path(__file__).parents[3] / "scripts" / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import benchmark_evaluation

    return benchmark_evaluation


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """The file of a network which is quicker than that of the benchmark."""
    settings = {
        "encoder": {"channels": [4, 4, 4], "hidden": [8], "latent": 4},
        "decoder": {"latent": 4, "hidden": [8], "subdivisions": 1},
    }
    parts = {"encoder": SoftRasEncoder, "decoder": MeshDecoder}
    model = Reconstructor(**{name: kind(**settings[name]) for name, kind in parts.items()})
    built = {
        name: {"_target_": f"recon.models.{kind.__name__}", **settings[name]}
        for name, kind in parts.items()
    }
    config = {"model": {"_target_": "recon.models.Reconstructor", **built}}
    content = {"model": model.state_dict(), "optimizer": {}, "step": 0, "config": config}
    save_checkpoint(tmp_path / "model.pt", content)
    return str(tmp_path / "model.pt")


def test_parts_add_up_to_the_whole(benchmark, capsys, shapes_file, checkpoint) -> None:  # type: ignore[no-untyped-def]
    options = ["--train", "1", "--threads", "1", "--compare-bfloat16"]
    rows = benchmark.main([*options, "--data", str(shapes_file), "--checkpoint", checkpoint])
    names = ["opening, fingerprints", "reading", "network", "softras", "baselines", "rows"]
    assert [row["part"] for row in rows] == [*names, "means, intervals, rest", "tables", "all"]
    parts, whole = [row["wall"] for row in rows[:-1]], rows[-1]["wall"]
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(whole, rel=0.05)
    assert rows[-1]["per_view"] == pytest.approx(1e6 * whole / 144)
    printed = capsys.readouterr().out
    assert "6 objects x 24 views" in printed
    assert "of softras: true voxels" in printed
    assert "bfloat16 - float32, softras_iou: mean" in printed


def test_objects_are_repeated_until_there_are_enough(benchmark, monkeypatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(benchmark, "PER_CATEGORY", 1)
    benchmark.make_file(tmp_path / "x.h5", 15, 1)
    data = MultiViewDataset(tmp_path / "x.h5", "test")
    assert len(data) == 15
    assert len(set(data.synsets)) == 13
    assert (data.voxels(0) == data.voxels(13)).all()
    assert not (data.voxels(0) == data.voxels(1)).all()


def test_bad_numbers_are_refused(benchmark) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit):
        benchmark.main(["--objects", "0"])
