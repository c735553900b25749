"""Meshes of images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import recon
from recon.geometry.cameras import Cameras, shapenet_cameras
from recon.geometry.frames import world_vertices
from recon.geometry.meshes import icosphere
from recon.inference.input_images import take_image
from recon.inference.reconstruct import ImageReconstructor
from recon.inference.refinement import Refinement
from recon.models import Prediction
from recon.models.directions import direction_grid
from recon.rendering.renderer import SoftRenderer
from recon.runs.trained_models import load_trained_model


def ball(side: int = 100) -> np.ndarray:
    """[side, side, 4]: a blue disc before nothing."""
    rows, columns = np.mgrid[:side, :side]
    inside = (rows - side / 2) ** 2 + (columns - side / 2) ** 2 < (side / 5) ** 2
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[inside] = (20, 40, 200, 255)
    return rgba


def test_a_file_becomes_a_mesh_in_the_frame_of_models(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    Image.fromarray(ball()).save(tmp_path / "ball.png")
    mesh = recon.reconstruct(tmp_path / "ball.png", tiny_checkpoint)
    assert (mesh.num_vertices, mesh.num_faces) == (42, 80)
    assert mesh.face_colors is not None
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    middle = mesh.vertices.mean(0)
    outward = (torch.linalg.cross(b - a, c - a, dim=1) * ((a + b + c) / 3 - middle)).sum(1)
    assert bool((outward > 0).all())  # turned round, as the frame of models is right-handed


def test_all_ways_to_pass_a_image_and_a_model_give_the_same(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    Image.fromarray(ball()).save(tmp_path / "ball.png")
    trained = load_trained_model(tiny_checkpoint)
    meshes = [
        recon.reconstruct(tmp_path / "ball.png", tiny_checkpoint),
        recon.reconstruct(ball(), trained),
        recon.reconstruct(Image.fromarray(ball()), ImageReconstructor(trained)),
        recon.reconstruct(ball()[..., :3], trained, mask=ball()[..., 3]),
    ]
    for mesh in meshes[1:]:
        assert torch.equal(mesh.vertices, meshes[0].vertices)


def test_a_refined_mesh_covers_more_of_the_mask(tiny_checkpoint: Path) -> None:
    trained = load_trained_model(tiny_checkpoint)
    (plain,) = ImageReconstructor(trained)([take_image(ball())])
    (refined,) = ImageReconstructor(trained, refinement=Refinement(10))([take_image(ball())])
    assert refined.iou > plain.iou
    moved = (refined.world.vertices - plain.world.vertices).abs()
    assert 0 < float(moved.max()) < 0.04
    assert refined.view == plain.view


class Rigid(torch.nn.Module):
    """Predicts the same mesh always, of the size that fits one fill of the frame."""

    def __init__(self, vertices: torch.Tensor, faces: torch.Tensor) -> None:
        super().__init__()
        self.vertices, self.faces = torch.nn.Parameter(vertices), faces

    def forward(self, images: torch.Tensor) -> Prediction:
        return Prediction(self.vertices.expand(len(images), -1, -1))


def test_the_size_is_chosen_that_fits_the_prediction(tiny_checkpoint: Path) -> None:
    trained = load_trained_model(tiny_checkpoint)
    sphere = icosphere(2)
    model = Rigid(sphere.vertices * 0.3, sphere.faces)
    reconstructor = ImageReconstructor(type(trained)(model, trained.checkpoint, trained.path))
    made, twin = reconstructor([take_image(ball(60)), take_image(ball(200))])
    alpha = SoftRenderer(64, sigma=1e-7).silhouette(
        model.vertices[None], sphere.faces, shapenet_cameras([0])
    )
    wide = int((alpha[0] > 0.5).any(0).sum()) / 64
    sizes = np.geomspace(*reconstructor.framing.fill[::2], 8)
    nearest = sizes[np.abs(np.log(sizes / wide)).argmin()]
    assert made.fill == pytest.approx(nearest, rel=1e-4)
    assert made.fit > 0.85
    assert made.iou > 0.93
    assert twin.fill == made.fill  # whatever the size of the image
    assert isinstance(made.camera, Cameras)


class RigidFromAbove(Rigid):
    """Predicts beside the same mesh the same direction always, azimuth 120 and elevation 45."""

    def forward(self, images: torch.Tensor) -> Prediction:
        made = super().forward(images)
        logits = torch.zeros(len(images), 48)
        logits[:, 24 + 8] = 50.0
        return Prediction(made.vertices, None, logits, direction_grid(24, (0.0, 45.0)))


def test_the_direction_is_that_of_the_camera_head(tiny_checkpoint: Path) -> None:
    trained = load_trained_model(tiny_checkpoint)
    sphere = icosphere(2)
    model = RigidFromAbove(sphere.vertices * 0.3, sphere.faces)
    reconstructor = ImageReconstructor(type(trained)(model, trained.checkpoint, trained.path))
    (made,) = reconstructor([take_image(ball())])
    azimuth, elevation, distance, _ = made.camera.orbit_parameters()[0].tolist()
    assert (azimuth, elevation) == pytest.approx((120.0, 45.0), abs=0.01)
    assert distance == pytest.approx(2.732, abs=1e-3)
    assert made.view == 16  # of azimuth -240 degrees, the nearest known one
    assert made.iou > 0.93


def test_the_world_is_turned_into_the_frame_of_models(tiny_checkpoint: Path) -> None:
    reconstructor = ImageReconstructor(load_trained_model(tiny_checkpoint))
    made = reconstructor([take_image(ball())])[0]
    mesh, colors = made.model_mesh()
    assert torch.equal(world_vertices(mesh.vertices), made.world.vertices)
    assert torch.equal(mesh.faces.flip(1), made.world.faces)
    assert colors is made.colors


def test_importing_the_package_does_not_load_torch() -> None:
    loaded = "print('torch' in sys.modules)"
    code = f"import recon, sys; {loaded}; recon.reconstruct; {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nTrue\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        recon.nothing  # noqa: B018
