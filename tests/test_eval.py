"""The command line eval.py, run as its user runs it on what train.py wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch

from recon.checkpoints import FORMAT, VERSION, load_checkpoint, save_checkpoint
from recon.meshes import load_mesh
from recon.models import MeshDecoder, PaletteHead, Reconstructor, SoftRasEncoder
from recon.runs import read_json

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


def test_a_table_a_picture_and_meshes(run_script: Run, checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    done = run_script(
        "eval.py", f"checkpoint={checkpoint}", f"output_dir={folder}", "save_meshes=2"
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "table.txt").read_text() in done.stdout
    result = read_json(folder / "result.json")
    assert result["checkpoint"] == str(checkpoint)
    assert result["objects"] == {"airplane": 2, "lamp": 2, "table": 2}
    assert set(result["iou"]) == {"model", "template", "mean shape", "category mean", "retrieval"}
    assert load_mesh(folder / "meshes" / "lamp_test-lamp-0.obj").num_faces == 320
    assert (folder / "contact_sheet.png").stat().st_size > 1000
    # Four steps of a tiny network are still the template.
    assert result["iou"]["model"]["mean"] == pytest.approx(
        result["iou"]["template"]["mean"], abs=0.05
    )


def colored_checkpoint(checkpoint: Path, tmp_path: Path, texels: int) -> Path:
    """A model with a colour head, as it begins, in place of that of a run."""
    parts = {
        "encoder": (SoftRasEncoder, {"channels": [2, 2, 2], "hidden": [4], "latent": 5}),
        "decoder": (MeshDecoder, {"latent": 5, "hidden": [4], "subdivisions": 1}),
        "color_head": (
            PaletteHead,
            {"latent": 5, "subdivisions": 1, "texels": texels, "palette": 2, "modes": 4},
        ),
    }
    model = Reconstructor(**{name: kind(**settings) for name, (kind, settings) in parts.items()})
    content = load_checkpoint(checkpoint)
    content["config"]["model"] = {
        "_target_": "recon.models.Reconstructor",
        **{n: {"_target_": f"recon.models.{k.__name__}", **s} for n, (k, s) in parts.items()},
    }
    path = tmp_path / "colored.pt"
    kept = {key: value for key, value in content.items() if key not in ("format", "version")}
    save_checkpoint(path, {**kept, "model": model.state_dict()})
    return path


def test_a_model_with_colors(run_script_here: Run, checkpoint: Path, tmp_path: Path) -> None:
    path = colored_checkpoint(checkpoint, tmp_path, texels=2)
    command = ["eval.py", f"checkpoint={path}", "save_meshes=1", "views=[0,12]", "color_targets=1"]
    done = run_script_here(*command, f"output_dir={tmp_path / 'glb'}", "format=glb")
    assert done.returncode == 0, done.stderr
    colors = read_json(tmp_path / "glb" / "result.json")["colors"]
    assert set(colors) == {"model", "mean colour", "retrieval"}
    assert set(colors["model"]) == {"color_l1", "color_psnr", "color_ssim"}
    assert set(colors["model"]["color_l1"]) == {"airplane", "lamp", "table", "mean"}
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
    mean = read_json(tmp_path / "result.json")["iou"]["model"]["mean"]
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


def test_the_constants_of_the_format_stay() -> None:
    """Files of users carry these; a change needs a reader of the old version."""
    assert (FORMAT, VERSION) == ("recon.checkpoint", 2)
