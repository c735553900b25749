"""The command line fit_camera.py, run as its user runs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import torch
from PIL import Image

from recon.fitting.viewpoint.benchmark import Benchmark
from recon.fitting.viewpoint.run import known_mesh
from recon.fitting.viewpoint.shaded_mesh import ShadedMesh
from recon.fitting.viewpoint.viewpoints import Viewpoints
from recon.formats.meshes import save_mesh
from recon.geometry.frames import world_vertices
from recon.geometry.meshes import Mesh
from recon.runs.directory import read_json

Run = Callable[..., CompletedProcess[str]]
SCRIPT = "scripts/fit_camera.py"
SMALL = (
    "azimuths=3",
    "elevations=[20]",
    "keep=1",
    "coarse.steps=6",
    "coarse.image_size=16",
    "fine.steps=4",
    "image_size=24",
    "truths=2",
    "progress=false",
)


def save_image(path: Path, image: torch.Tensor) -> None:
    pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(np.ascontiguousarray(pixels), "RGBA").save(path)


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    """A mesh file and an image of it."""
    mesh = known_mesh("car", [0.62, 0.66, 0.72])
    save_mesh(tmp_path / "car.ply", Mesh(world_vertices(mesh.vertices), mesh.faces.flip(1)))
    truth = Viewpoints(
        torch.tensor([130.0]), torch.tensor([20.0]), torch.tensor([2.6]), torch.ones(1, 3)
    )
    save_image(tmp_path / "image.png", ShadedMesh(mesh).image(truth, (32, 40))[0])
    return [f"image={tmp_path / 'image.png'}", f"mesh={tmp_path / 'car.ply'}"]


def test_an_image_is_explained(run_script_here: Run, inputs: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    more = ["azimuths=8", "coarse.steps=60", "coarse.image_size=24", "fine.steps=25", "keep=2"]
    done = run_script_here(SCRIPT, *inputs, f"output_dir={folder}", *SMALL, *more)
    assert done.returncode == 0, done.stderr
    assert "azimuth" in done.stdout
    assert {path.name for path in folder.iterdir()} >= {
        "result.json",
        "comparison.png",
        "course.gif",
        "history.csv",
        "history.png",
    }
    result = read_json(folder / "result.json")
    assert result["azimuth"] == pytest.approx(130, abs=6)
    assert result["elevation"] == pytest.approx(20, abs=6)
    assert result["distance"] == pytest.approx(2.6, abs=0.15)
    assert len(result["light"]) == 3


def test_a_benchmark_tells_errors_before_and_after(run_script_here: Run, tmp_path: Path) -> None:
    done = run_script_here(SCRIPT, f"output_dir={tmp_path}", *SMALL)
    assert done.returncode == 0, done.stderr
    for text in ("start beside", "found from beside", "found from around", "light, degrees"):
        assert text in done.stdout
    result = read_json(tmp_path / "result.json")
    assert len(result["errors"]["found from around"]["light"]) == 2
    assert (tmp_path / "comparison.png").is_file()


def test_an_interrupted_benchmark_is_written(
    run_script_here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = Benchmark.images

    def interrupt(self: Benchmark) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGTERM)
        monkeypatch.setattr(Benchmark, "images", images)
        return images(self)

    monkeypatch.setattr(Benchmark, "images", interrupt)
    done = run_script_here(SCRIPT, f"output_dir={tmp_path}", *SMALL)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert list(read_json(tmp_path / "result.json")["summary"]) == [
        "start beside",
        "found from beside",
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["image=absent.png"], "no such file: absent.png"),
        (["mesh=absent.obj"], "no mesh file absent.obj"),
        (["mesh=zebra"], "no mesh file zebra"),
        (["image=null", "truths=0"], "truths must be a whole number >= 1"),
        (["azimuths=0"], "azimuths must be a whole number >= 1"),
        (["directional=0"], "directional must be > 0"),
        (["color=[0.5,2,0]"], "color must be a list of 3, each a finite number >= 0 and <= 1"),
        (["color=[0.5,0]"], "color must be a list of 3"),
        (["fine.sigma=[1e-3]"], "sigma must be a list of 2"),
        (["fov=190"], "fov must be a finite number > 0 and < 180"),
    ],
)
def test_bad_input_is_one_line(
    run_script_here: Run, inputs: list[str], tmp_path: Path, changes: list[str], expected: str
) -> None:
    done = run_script_here(SCRIPT, *inputs, f"output_dir={tmp_path / 'run'}", *SMALL, *changes)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_images_without_alpha_or_object(
    run_script_here: Run, inputs: list[str], tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "image.png")
    done = run_script_here(SCRIPT, *inputs, f"output_dir={tmp_path / 'run'}", *SMALL)
    assert "image.png has no transparent pixels" in done.stderr
    Image.new("RGBA", (8, 8)).save(tmp_path / "image.png")
    done = run_script_here(SCRIPT, *inputs, f"output_dir={tmp_path / 'run'}", *SMALL)
    assert "the alpha channel is empty" in done.stderr
