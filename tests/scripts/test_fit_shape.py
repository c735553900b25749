"""The command line fit_shape.py, run as its user runs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import imageio.v3 as iio
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from recon.datasets.multiview import MultiViewDataset
from recon.fitting.shape.fitter import ColoredMesh, Cube
from recon.fitting.shape.view_files import Views, views_of_object
from recon.formats.meshes import read_mesh
from recon.preparation.sources.axes import orientation
from recon.runs.directory import read_json
from tests.recon.formats.cameras.exported import Similarity, export, opaque

Run = Callable[..., CompletedProcess[str]]
SCRIPT = "scripts/fit_shape.py"
SMALL = (
    "stages.0.steps=6",
    "stages.1.steps=4",
    "stages.2.steps=4",
    "stages.2.resolution=64",
    "subdivisions=1",
    "frames=5",
    "progress=false",
    "device=cpu",
)


@pytest.fixture
def inputs(shapes_file: Path, tmp_path: Path) -> list[str]:
    """A folder of 24 images with their cameras."""
    data = MultiViewDataset(shapes_file)
    views = views_of_object(data, data.ids[0])
    folder = tmp_path / "images"
    folder.mkdir()
    for index, image in enumerate(views.images):
        pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels, "RGBA").save(folder / f"{index:02d}.png")
    np.save(tmp_path / "cameras.npy", views.cameras.rows().numpy())
    return [f"images={folder}", f"cameras={tmp_path / 'cameras.npy'}"]


def test_images_become_a_mesh(run_script_here: Run, inputs: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = run_script_here(
        SCRIPT, *inputs, f"output_dir={folder}", "holdout=3", "colors=true", *SMALL
    )
    assert done.returncode == 0, done.stderr
    assert "held out        3" in done.stdout
    assert {path.name for path in folder.iterdir()} >= {
        "mesh.obj",
        "mesh.ply",
        "mesh.glb",
        "course.gif",
        "comparison.png",
        "history.csv",
        "history.png",
        "result.json",
    }
    assert read_mesh(folder / "mesh.ply").num_faces == 320
    assert len(iio.imread(folder / "course.gif")) > 2
    assert len((folder / "history.csv").read_text().splitlines()) == 1 + 7 + 5 + 5
    result = read_json(folder / "result.json")
    assert (result["fitted"]["views"], result["held_out"]["views"]) == (21, 3)
    assert 0.2 < result["held_out"]["iou"] <= 1
    assert result["held_out"]["color_error"] < 0.3
    assert result["settings"]["stages"][0]["steps"] == 6
    assert "voxel_iou" not in result


def test_an_object_of_prepared_files_is_compared_with_its_voxels(
    run_script_here: Run, shapes_file: Path, tmp_path: Path
) -> None:
    ids = MultiViewDataset(shapes_file).ids
    source = [f"data.path={shapes_file}", f"object={ids[4]}"]
    done = run_script_here(SCRIPT, *source, f"output_dir={tmp_path}", "holdout=0", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "voxel IoU to the truth" in done.stdout
    result = read_json(tmp_path / "result.json")
    assert 0 < result["voxel_iou"] < 1
    assert "held_out" not in result


def test_an_interrupted_fit_is_written(
    run_script_here: Run, inputs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(shape: ColoredMesh, views: Views, cube: Cube) -> NDArray[np.uint8]:
        os.kill(os.getpid(), signal.SIGTERM)
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr("recon.fitting.shape.run.animation_frame", interrupt)
    folder = tmp_path / "run"
    done = run_script_here(
        SCRIPT, *inputs, f"output_dir={folder}", *SMALL, "stages.0.steps=1000000"
    )
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert "interrupted" in done.stdout + done.stderr
    assert read_json(folder / "result.json")["interrupted"] is True
    assert read_mesh(folder / "mesh.obj").num_faces == 80


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["images=null"], "images= is missing"),
        (["cameras=absent.npy"], "no cameras absent.npy"),
        (["images=absent"], "no images absent"),
        (["holdout=24"], "holdout must leave some of the 24 views"),
        (["template=absent.obj"], "no mesh file absent.obj"),
        (["stages.0.loss=l1"], "loss must be one of"),
        (["stages=[]"], "at least one stage"),
        (["cube.size=-1"], "size must be a finite number > 0"),
        (["device=tpu"], "device must be"),
        (["data.path=absent.h5"], "absent.h5"),
    ],
)
def test_bad_input_is_one_line(
    run_script_here: Run, inputs: list[str], tmp_path: Path, changes: list[str], expected: str
) -> None:
    done = run_script_here(SCRIPT, *inputs, f"output_dir={tmp_path / 'run'}", *SMALL, *changes)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if "error:" in line]) == 1


def test_numbers_that_differ_and_unknown_objects(
    run_script_here: Run, inputs: list[str], shapes_file: Path, tmp_path: Path
) -> None:
    os.remove(tmp_path / "images" / "05.png")
    done = run_script_here(SCRIPT, *inputs, f"output_dir={tmp_path / 'run'}", *SMALL)
    assert "has 23 images, but" in done.stderr
    source = [f"data.path={shapes_file}", f"output_dir={tmp_path / 'run'}"]
    done = run_script_here(SCRIPT, *source, "object=none", *SMALL)
    assert "has no object 'none'" in done.stderr
    done = run_script_here(SCRIPT, *source, *SMALL)
    assert "object=ID is missing" in done.stderr
    done = run_script_here(SCRIPT, *source, *inputs, "object=none", *SMALL)
    assert "images and cameras must go" in done.stderr


def test_cameras_of_colmap_lead_to_a_mesh_in_their_coordinates(
    run_script_here: Run, tmp_path: Path
) -> None:
    """As in the guide of docs/data.md: opaque images, masks beside them, a model of COLMAP."""
    moved = Similarity(orientation("-y,+z").T, np.array([3.0, -2.0, 1.0]), 2.5)
    export(tmp_path / "scene", "colmap_binary", moved, views=12)
    opaque(tmp_path / "scene")
    folder = tmp_path / "run"
    done = run_script_here(
        SCRIPT,
        f"images={tmp_path / 'scene'}",
        f"output_dir={folder}",
        "output_frame=cameras",
        *SMALL,
    )
    assert done.returncode == 0, done.stderr
    assert "12 cameras (colmap) are placed by center (3" in done.stdout + done.stderr
    to_file = np.array(read_json(folder / "result.json")["to_file"])
    np.testing.assert_allclose(to_file[:3, 3], moved.center, atol=0.1)
    vertices = read_mesh(folder / "mesh.ply").vertices.numpy()
    middle = (vertices.min(0) + vertices.max(0)) / 2
    np.testing.assert_allclose(middle, moved.center, atol=0.6)
    # So few steps reach 0.36; cameras in other places than the mesh would see nothing of it.
    assert read_json(folder / "result.json")["held_out"]["iou"] > 0.2
