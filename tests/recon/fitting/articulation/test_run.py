"""What a run of joint fitting writes says what was found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon.fitting.articulation.fitter import ArticulationFitter, middle_poses
from recon.fitting.articulation.humanoid import SHAPE_NAMES, humanoid_limits, make_humanoid
from recon.fitting.articulation.run import ArticulationRun, save_rgba, side_cameras
from recon.fitting.articulation.scores import random_cases
from recon.fitting.drawing import render_colors
from recon.fitting.run import FitFolder
from recon.fitting.stages import SoftStage
from recon.formats.meshes import read_mesh, read_textured_mesh
from recon.formats.stores import FolderStore
from recon.geometry.cameras import Cameras
from recon.geometry.frames import world_vertices
from recon.runs.directory import read_json

BODY, LIMITS = make_humanoid(), humanoid_limits()
STAGE = SoftStage(2, 24, (1e-3, 1e-3), (0.3, 0.3), (0.05, 0.05))


def make_run(folder: Path, known: bool = True) -> ArticulationRun:
    folder.mkdir(exist_ok=True)
    case = random_cases(BODY, 1, 24, 0)
    return ArticulationRun(
        FitFolder(folder, {"seed": 0}),
        BODY,
        LIMITS,
        SHAPE_NAMES,
        case.images[0],
        case.cameras,
        2,
        case if known else None,
    )


def test_a_run_writes_what_it_found(tmp_path: Path) -> None:
    run = make_run(tmp_path / "new")
    fitted = run.fit(ArticulationFitter(STAGE, STAGE), move=True, reshape=True)
    result = run.write(fitted)
    assert read_json(run.folder.path / "result.json") == result
    angles = torch.deg2rad(torch.tensor(list(result["joints"].values())))
    assert torch.allclose(angles, fitted.state.angles[0], atol=1e-6)
    assert result["interrupted"] is False
    assert list(result["camera"]) == ["azimuth", "elevation", "distance"]
    assert set(result["shapes"]) == set(SHAPE_NAMES)
    # The mesh of the file, turned back into the world, is the mesh in its pose.
    corners = fitted.state.vertices(BODY)[0][BODY.mesh.faces]
    written = read_mesh(run.folder.path / "mesh.obj")
    again = world_vertices(written.vertices)[written.faces.flip(1)]
    assert torch.allclose(again.double(), corners.double(), atol=1e-5)
    surface = read_textured_mesh(FolderStore(run.folder.path), "mesh.glb")
    assert BODY.mesh.face_colors is not None
    colors = torch.from_numpy(surface.mesh().face_colors.numpy())  # type: ignore[union-attr]
    assert torch.allclose(colors, BODY.mesh.face_colors, atol=0.02)
    # The image can be read again as it was.
    pixels = np.asarray(Image.open(run.folder.path / "input.png"))
    assert np.array_equal(pixels, (run.image * 255).round().byte().permute(1, 2, 0).numpy())
    again = make_run(tmp_path / "other", known=False)
    assert "truth" not in again.write(fitted)
    assert not (again.folder.path / "input.png").exists()


def test_the_truth_has_no_error(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert run.truth is not None
    errors = run._errors(run.truth.truth)["errors"]
    assert max(row["degrees_after"] for row in errors.values()) < 1e-3
    assert max(row["degrees_before"] for row in errors.values()) > 10


def test_the_view_from_the_side_is_a_quarter_turn_on() -> None:
    one = torch.ones(1)
    front, side = (Cameras.orbit(a * one, 10 * one, 3 * one, 30 * one) for a in (20.0, 110.0))
    assert torch.allclose(side_cameras(front).rotation, side.rotation, atol=1e-6)
    poses = middle_poses(BODY, LIMITS)
    images = [
        render_colors(BODY.mesh, poses.vertices(BODY), cameras, (32, 40))
        for cameras in (side_cameras(front), side)
    ]
    assert torch.allclose(*images, atol=0.02)


def test_an_image_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent"):
        save_rgba(tmp_path / "absent" / "image.png", torch.zeros(4, 2, 2))
