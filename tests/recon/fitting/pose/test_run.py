"""A run of pose estimation goes on with the best starts and writes what it found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon.command_line import Interruption
from recon.fitting.drawing import render_colors
from recon.fitting.pose.files import CameraImage, ScaledMesh, read_camera_image
from recon.fitting.pose.fitter import PoseFitter, Poses
from recon.fitting.pose.run import FACING, LIGHT, PoseRun
from recon.fitting.run import FitFolder
from recon.fitting.stages import SoftStage
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.geometry.rotations import random_turns, rotation_distance
from recon.runs.directory import read_json

FOV, SIZE = 40.0, 64
SEARCH = PoseFitter(
    SoftStage(30, 24, (1e-3, 1e-3), (6.0, 1.0), (0.1, 0.1)),
    SoftStage(15, 24, (1e-3, 1e-4), (0.6, 0.1), (0.05, 0.02)),
    darkest=0.5,
)
FITTER = PoseFitter(
    SoftStage(0, 24, (1e-3, 1e-3), (6.0, 1.0), (0.1, 0.1)),
    SoftStage(30, None, (1e-3, 3e-5), (0.6, 0.1), (0.03, 0.003)),
    darkest=0.5,
)


def model() -> ScaledMesh:
    """A box with sides of all lengths and colours."""
    signs = (-0.5, 0.5)
    corners = torch.tensor([[x, y, z] for x in signs for y in signs for z in signs])
    quads = torch.tensor(
        [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    )
    faces = torch.stack((quads[:, :3], quads[:, [0, 2, 3]]), dim=1).flatten(0, 1)
    colors = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1]])
    sides = torch.tensor([0.6, 1.0, 0.8])
    mesh = Mesh(sides * corners, faces, colors.repeat_interleave(2, 0))
    return ScaledMesh(mesh, torch.tensor([1.0, 2, 3]), 10.0)


def truth() -> Poses:
    turn = random_turns(1, 35.0, torch.Generator().manual_seed(3))
    return Poses(torch.tensor(FACING) @ turn, torch.tensor([[0.1, -0.15, 3.0]]))


def image(folder: Path) -> CameraImage:
    """An image of the model in its true pose, written and read."""
    intrinsics = camera_matrix()
    cameras = Cameras.from_opencv(intrinsics, torch.eye(3)[None], torch.zeros(1, 3), (SIZE, SIZE))
    mesh = model().mesh
    rgba = render_colors(mesh, truth().apply(mesh.vertices), cameras, SIZE, LIGHT)[0]
    pixels = (rgba * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(np.ascontiguousarray(pixels), "RGBA").save(folder / "image.png")
    return read_camera_image(folder / "image.png", None, FOV, size=48)


def camera_matrix() -> torch.Tensor:
    focal = SIZE / 2 / np.tan(np.deg2rad(FOV) / 2)
    middle = (SIZE - 1) / 2
    return torch.tensor([[[focal, 0, middle], [0, focal, middle], [0, 0, 1]]], dtype=torch.float32)


def folder_of(path: Path) -> FitFolder:
    path.mkdir(exist_ok=True)
    return FitFolder(path, {"size": 48}, (), "pose.json", "overlay.png")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PoseRun:
    folder = tmp_path_factory.mktemp("pose")
    return PoseRun(folder_of(folder / "out"), image(folder), model(), SEARCH, FITTER)


def test_the_pose_is_found_and_written_in_units_of_the_file(run: PoseRun) -> None:
    fitted = run.fit(torch.zeros(3), starts=6, keep=2, seed=0)
    assert fitted.loss.shape == (2,)
    assert [len(one.history["total"]) for one in fitted.fits] == [31, 16, 1, 31]
    assert all(one.history["total"].shape[1] == 2 for one in fitted.fits)
    result = run.write(fitted)
    assert result == read_json(run.folder.path / "pose.json")
    rotation, translation = torch.tensor(result["rotation"]), torch.tensor(result["translation"])
    assert float(rotation_distance(rotation, truth().rotation[0])) < 10
    # x_camera = rotation @ x_mesh + translation, for the vertices as they are in the file.
    vertices = 10 * model().mesh.vertices + torch.tensor([1.0, 2, 3])
    expected = 10 * truth().apply(model().mesh.vertices)[0]
    assert float((vertices @ rotation.T + translation - expected).norm(dim=1).max()) < 2
    assert result["silhouette_iou"] > 0.85
    assert result["settings"] == {"size": 48}
    assert not result["interrupted"]
    assert {path.name for path in run.folder.path.iterdir()} == {
        "pose.json",
        "overlay.png",
        "course.gif",
        "history.csv",
        "history.png",
    }
    assert Image.open(run.folder.path / "overlay.png").size == (3 * 256, 256)
    assert getattr(Image.open(run.folder.path / "course.gif"), "n_frames", 1) > 20


def test_the_trajectory_leads_from_the_kept_start_to_the_end(run: PoseRun) -> None:
    fitted = run.fit(torch.tensor([0.0, 30.0, 0.0]), starts=1, keep=5, seed=0)
    start = torch.tensor(FACING) @ torch.tensor(
        [[np.cos(np.pi / 6), 0, 0.5], [0, 1, 0], [-0.5, 0, np.cos(np.pi / 6)]], dtype=torch.float32
    )
    torch.testing.assert_close(fitted.trajectory[0].rotation[0], start)
    assert torch.equal(fitted.trajectory[-1].rotation, fitted.state.rotation)


def test_starts_have_the_size_and_the_place_of_the_mask(run: PoseRun) -> None:
    fitted = PoseRun(run.folder, run.observed, run.model, still(SEARCH), still(FITTER)).fit(
        torch.zeros(3), starts=3, keep=3, seed=0
    )
    x, y, depth = fitted.trajectory[0].translation[0].tolist()
    assert (x / depth, y / depth) == (
        pytest.approx(0.1 / 3, abs=0.06),
        pytest.approx(-0.15 / 3, abs=0.06),
    )
    assert depth == pytest.approx(3, rel=0.35)


def still(fitter: PoseFitter) -> PoseFitter:
    """A fitter which does not move."""
    return PoseFitter(replace(fitter.coarse, steps=0), replace(fitter.fine, steps=0), darkest=0.5)


def test_thin_objects_have_a_place_too(run: PoseRun, tmp_path: Path) -> None:
    rgba = np.zeros((300, 300, 4), np.uint8)
    rgba[20:280, 150] = 255
    Image.fromarray(rgba).save(tmp_path / "thin.png")
    thin = read_camera_image(tmp_path / "thin.png", None, FOV, size=32)
    assert float(thin.image[3].max()) < 0.5
    one = PoseRun(run.folder, thin, run.model, still(SEARCH), still(FITTER))
    assert len(one.fit(torch.zeros(3), starts=1, keep=1, seed=0).state) == 1


def test_a_signal_ends_the_run_with_what_there_is(run: PoseRun) -> None:
    interruption = Interruption()
    interruption.signum = 2
    fitted = run.fit(torch.zeros(3), starts=3, keep=2, seed=0, interruption=interruption)
    assert len(fitted.trajectory) < 10
    assert run.write(fitted)["interrupted"]


def test_a_mesh_of_one_colour_is_compared_by_its_outline(run: PoseRun) -> None:
    grey = replace(run.model.mesh, face_colors=None)
    one = PoseRun(run.folder, run.observed, replace(run.model, mesh=grey), SEARCH, FITTER)
    fitted = one.fit(torch.zeros(3), starts=4, keep=2, seed=0)
    assert one.write(fitted)["silhouette_iou"] > 0.7


@pytest.mark.parametrize(
    ("start", "starts", "keep"),
    [([0.0, 0, 0], 0, 1), ([0.0, 0, 0], 1, 0), ([0.0, 0], 1, 1), ([0.0, 0, float("nan")], 1, 1)],
)
def test_bad_arguments(run: PoseRun, start: list[float], starts: int, keep: int) -> None:
    with pytest.raises(ValueError, match="starts and keep must be >= 1 and start three"):
        run.fit(torch.tensor(start), starts, keep, 0)
