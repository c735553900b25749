"""The command line eval.py, run as its user runs it on what train.py wrote."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch

from recon.evaluation.result import EvaluationResult
from recon.formats.meshes import read_mesh
from recon.models import MeshDecoder, PaletteHead, SoftRasEncoder
from recon.runs.checkpoints import FORMAT, VERSION, load_checkpoint, save_checkpoint
from recon.runs.trained_models import build_model

ROOT = Path(__file__).resolve().parents[1]
Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def checkpoint(
    run_script: Run, shapes_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("run")
    trained = run_script(
        "train.py", "experiment=smoke", f"data.path={shapes_file}", f"output_dir={folder}"
    )
    assert trained.returncode == 0, trained.stderr
    return folder / "checkpoints" / "best.pt"


def iou(result: EvaluationResult, predictor: str = "model") -> float:
    return result.means[predictor]["softras_iou"]["mean"].mean


def test_a_table_a_image_and_meshes(run_script: Run, checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    done = run_script(
        "eval.py", f"checkpoint={checkpoint}", f"output_dir={folder}", "save_meshes=2"
    )
    assert done.returncode == 0, done.stderr
    assert f"tables: {folder / 'table.txt'}" in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("voxel IoU %, mean over 3 categories: ")
    result = EvaluationResult.read(folder / "result.json")
    assert result.about["checkpoint"] == str(checkpoint)
    counts = {category.name: category.objects for category in result.categories}
    assert counts == {"airplane": 2, "lamp": 2, "table": 2}
    assert result.predictors == ("model", "template", "mean shape", "category mean", "retrieval")
    assert read_mesh(folder / "meshes" / "lamp_test-lamp-0.obj").num_faces == 320
    assert (folder / "contact_sheet.png").stat().st_size > 1000
    # Four steps of a tiny network are still the template.
    assert iou(result) == pytest.approx(iou(result, "template"), abs=0.05)


def colored_checkpoint(checkpoint: Path, tmp_path: Path, texels: int) -> Path:
    """A model with a colour head, as it begins, in place of that of a run."""
    parts = {
        "encoder": (SoftRasEncoder, {"channels": [2, 2, 2], "hidden": [4], "latent": 5}),
        "decoder": (MeshDecoder, {"latent": 5, "hidden": [4], "subdivisions": 1}),
        "color_head": (
            PaletteHead,
            {"_partial_": True, "latent": 5, "texels": texels, "palette": 2, "modes": 4},
        ),
    }
    content = load_checkpoint(checkpoint)
    content["config"]["model"] = {
        "_target_": "recon.models.Reconstructor",
        **{n: {"_target_": f"recon.models.{k.__name__}", **s} for n, (k, s) in parts.items()},
    }
    model = build_model(content)
    path = tmp_path / "colored.pt"
    kept = {key: value for key, value in content.items() if key not in ("format", "version")}
    save_checkpoint(path, {**kept, "model": model.state_dict()})
    return path


def test_a_model_with_colors(run_script_here: Run, checkpoint: Path, tmp_path: Path) -> None:
    path = colored_checkpoint(checkpoint, tmp_path, texels=2)
    command = ["eval.py", f"checkpoint={path}", "save_meshes=1", "views=[0,12]", "color_targets=1"]
    done = run_script_here(*command, f"output_dir={tmp_path / 'glb'}", "format=glb")
    assert done.returncode == 0, done.stderr
    means = EvaluationResult.read(tmp_path / "glb" / "result.json").means
    colored = {name for name, table in means.items() if "color_psnr" in table}
    assert colored == {"model", "mean colour", "retrieval"}
    assert set(means["model"]) == {"softras_iou", "color_l1", "color_psnr", "color_ssim"}
    assert set(means["model"]["color_l1"]) == {"airplane", "lamp", "table", "mean"}
    assert "model PSNR" in (tmp_path / "glb" / "table.csv").read_text()
    stem = "airplane_test-airplane-0"
    files = {file.name for file in (tmp_path / "glb" / "meshes").iterdir()}
    assert files == {f"{stem}.glb", f"{stem}.gif"}
    refused = run_script_here(*command, f"output_dir={tmp_path / 'ply'}", "format=ply")
    assert refused.returncode != 0
    assert "format must be obj or glb for a model with texels, got 'ply'" in refused.stderr
    assert not (tmp_path / "ply" / "result.json").exists()


def test_the_model_is_scored_as_during_training(
    run_script_here: Run, checkpoint: Path, shapes_file: Path, tmp_path: Path
) -> None:
    choice = ["split=val", "views=[0]", "baselines=false", f"data.path={shapes_file}"]
    done = run_script_here("eval.py", f"checkpoint={checkpoint}", f"output_dir={tmp_path}", *choice)
    assert done.returncode == 0, done.stderr
    mean = iou(EvaluationResult.read(tmp_path / "result.json"))
    assert mean == pytest.approx(load_checkpoint(checkpoint)["best_iou"], abs=1e-9)


def damaged(checkpoint: Path, tmp_path: Path, kind: str) -> Path:
    """A file which looks like a checkpoint and is not one this command can use."""
    path = tmp_path / f"{kind}.pt"
    content = torch.load(checkpoint, weights_only=True)
    if kind == "truncated":
        path.write_bytes(checkpoint.read_bytes()[:5000])
        return path
    if kind == "other":  # another network than the configuration it carries
        content["model"] = {"layer.weight": torch.zeros(3, 3)}
    if kind == "nan":
        content["model"]["decoder.offset.weight"][0, 0] = math.nan
    if kind == "foreign":
        content = {"state_dict": content["model"]}
    if kind == "evil":
        content["config"]["model"]["encoder"]["_target_"] = "os.system"
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "truncated or not a checkpoint"),
        ("other", "holds another model than Reconstructor"),
        ("foreign", "not written by this library"),
        ("evil", "would call 'os.system'"),
        ("nan", "tensors are not finite, the first is decoder.offset.weight"),
    ],
)
def test_a_checkpoint_which_cannot_be_used_is_one_clear_message(
    run_script_here: Run, checkpoint: Path, tmp_path: Path, kind: str, message: str
) -> None:
    path = damaged(checkpoint, tmp_path, kind)
    failed = run_script_here("eval.py", f"checkpoint={path}", f"output_dir={tmp_path / 'out'}")
    assert failed.returncode != 0
    assert message in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not list((tmp_path / "out").glob("*.csv"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("checkpoint=none.pt", "no such file: none.pt"),
        ("categories=[cheir]", "unknown category 'cheir'"),
        ("split=tset", "no object of split 'tset'"),
        ("data.path=missing.h5", "missing.h5"),
        ("format=fbx", "format must be obj or ply or glb, got 'fbx'"),
        ("turntable=avi", "turntable must be gif or mp4 or null, got 'avi'"),
        ("metrics=[softras,iou]", "unknown metric suite 'iou' in metrics; there are softras"),
        ("metrics=[onet]", "metric suite onet needs the field pointcloud"),
        ("views=[3,24]", "views must be a list of different ones of 0..23"),
        ("reference=nmr", "reference must be among softras, vpl, got 'nmr'"),
        ("against=none.pt", "no such file: none.pt"),
        ("against=none.json", "none.json"),
    ],
)
def test_bad_input_is_one_clear_message(
    run_script_here: Run, checkpoint: Path, tmp_path: Path, override: str, message: str
) -> None:
    first = [] if override.startswith("checkpoint") else [f"checkpoint={checkpoint}"]
    failed = run_script_here("eval.py", *first, override, f"output_dir={tmp_path}")
    assert failed.returncode != 0
    assert message in failed.stderr
    assert "Traceback" not in failed.stderr


def test_damaged_data_are_one_clear_message(
    run_script_here: Run, checkpoint: Path, shapes_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "half.h5"
    path.write_bytes(shapes_file.read_bytes()[: shapes_file.stat().st_size // 2])
    command = ["eval.py", f"checkpoint={checkpoint}", f"data.path={path}"]
    failed = run_script_here(*command, f"output_dir={tmp_path / 'out'}")
    assert failed.returncode != 0
    assert "half.h5 is truncated or damaged" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_folder_of_a_training_run_stays_as_it_is(
    run_script_here: Run, checkpoint: Path
) -> None:
    run = checkpoint.parents[1]
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert run / ".hydra" / "overrides.yaml" in before
    failed = run_script_here("eval.py", f"checkpoint={checkpoint}", f"output_dir={run}")
    assert failed.returncode != 0
    assert "is the folder of a training run, whose result.json would be lost" in failed.stderr
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_refused_command_leaves_a_finished_evaluation_as_it_is(
    run_script_here: Run, checkpoint: Path, tmp_path: Path
) -> None:
    command = ["eval.py", f"checkpoint={checkpoint}", f"output_dir={tmp_path}", "baselines=false"]
    done = run_script_here(*command, "views=[0]")
    assert done.returncode == 0, done.stderr
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for override, message in (
        ("views=[0,99]", "views must be"),
        ("views=0", "views must be"),
        ("checkpoint=null", "checkpoint must be"),
        ("metrics=[onet]", "needs the field pointcloud"),
        (f"against={tmp_path}", "evaluated from views"),
    ):
        failed = run_script_here(*command, "views=[3]", override)
        assert failed.returncode != 0
        assert message in failed.stderr
        assert "Traceback" not in failed.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


# What is killed in the middle: all objects of the file, each taking a moment.
SLOW = ["metrics=[softras,silhouette]", "split=null", "views=[0,8,16]", "baselines=false"]
OUTPUTS = ("result.json", "table.txt", "table.csv", "objects.csv")


def begin(checkpoint: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Starts an evaluation, and halts it when its first rows are written."""
    process = subprocess.Popen(
        [sys.executable, "eval.py", f"checkpoint={checkpoint}", f"output_dir={folder}", *SLOW],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and count_rows(folder) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    return process


def count_rows(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("rows/*.jsonl"))


def test_a_killed_evaluation_goes_on_and_another_one_waits_outside(
    run_script_here: Run, checkpoint: Path, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    process = begin(checkpoint, broken)
    try:
        command = ["eval.py", f"checkpoint={checkpoint}", *SLOW]
        second = run_script_here(*command, f"output_dir={broken}")
    finally:
        process.kill()
        process.wait()
    assert second.returncode != 0
    assert "broken: another process is evaluating here; wait for it" in second.stderr
    assert 3 <= count_rows(broken) < 18
    assert not any((broken / name).exists() for name in OUTPUTS)
    for folder in (broken, whole):
        done = run_script_here(*command, f"output_dir={folder}")
        assert done.returncode == 0, done.stderr
    for name in OUTPUTS:
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    assert count_rows(broken) == count_rows(whole) == 18


def test_a_checkpoint_is_compared_with_another_and_with_published_figures(
    run_script_here: Run, checkpoint: Path, tmp_path: Path
) -> None:
    last = checkpoint.with_name("last.pt")
    command = ["eval.py", f"checkpoint={checkpoint}", "views=[0]", "baselines=false"]
    first = [f"output_dir={tmp_path / 'a'}", f"against={last}", "reference=[softras,vpl]"]
    done = run_script_here(*command, *first)
    assert done.returncode == 0, done.stderr
    assert "this - other [95 % interval]" in done.stdout
    assert "View priors" in done.stdout
    comparison = (tmp_path / "a" / "comparison.csv").read_text()
    stored = f"against={tmp_path / 'a' / 'against' / 'result.json'}"
    again = run_script_here(*command, f"output_dir={tmp_path / 'b'}", stored)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "b" / "comparison.csv").read_text() == comparison


def test_checkpoints_of_a_sweep_have_folders_of_their_own(
    run_script_here: Run, checkpoint: Path, tmp_path: Path
) -> None:
    both = f"{checkpoint},{checkpoint.with_name('last.pt')}"
    choice = ["views=[0]", "baselines=false", f"output_dir={tmp_path}"]
    done = run_script_here("eval.py", "-m", f"checkpoint={both}", *choice)
    assert done.returncode == 0, done.stderr
    results = [EvaluationResult.read(path) for path in tmp_path.glob("*/result.json")]
    assert {result.about["checkpoint"] for result in results} == set(both.split(","))


def test_shipped_models_are_taken_by_their_names(
    run_script_here: Run, shipped: Path, shapes_file: Path, tmp_path: Path
) -> None:
    quick = ["views=[0,12]", "baselines=false", "color_inputs=1", f"data.path={shapes_file}"]
    folder = tmp_path / "named"
    done = run_script_here(
        "eval.py", "checkpoint=objects13", "against=objects13", *quick, f"output_dir={folder}"
    )
    assert done.returncode == 0, done.stderr
    result = EvaluationResult.read(folder / "result.json")
    assert result.about["checkpoint"] == str(shipped / "objects13.safetensors")
    other = EvaluationResult.read(folder / "against" / "result.json")
    assert iou(result) == iou(other) > 0

    failed = run_script_here("eval.py", "checkpoint=objects99", *quick, f"output_dir={folder}")
    assert failed.returncode == 1
    assert "checkpoint objects99: no such file or model; the models are objects13" in failed.stderr


def test_the_constants_of_the_format_stay() -> None:
    """Files of users carry these; a change needs a reader of the old version."""
    assert (FORMAT, VERSION) == ("recon.checkpoint", 3)
