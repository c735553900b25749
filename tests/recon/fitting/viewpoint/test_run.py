"""Meshes and images that a fit of viewpoint and light reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.fitting.viewpoint.run import described, known_mesh
from recon.fitting.viewpoint.viewpoints import Viewpoints
from recon.formats.meshes import save_mesh
from recon.geometry.frames import world_vertices
from recon.geometry.meshes import face_normals, icosphere
from recon.visualization.draw import GREY


def test_generated_shapes_are_known_meshes() -> None:
    mesh = known_mesh("car", None)
    assert mesh.face_colors is not None
    assert len(mesh.face_colors.unique(dim=0)) > 1
    grey = known_mesh("car", [0.5, 0.5, 0.5])
    assert torch.equal(grey.vertices, mesh.vertices)
    assert grey.face_colors is not None
    assert (grey.face_colors == 0.5).all()


def test_files_are_in_the_frame_of_models_and_grey(tmp_path: Path) -> None:
    sphere = icosphere(1)
    save_mesh(tmp_path / "sphere.ply", sphere)
    mesh = known_mesh(str(tmp_path / "sphere.ply"), None)
    assert torch.equal(mesh.vertices, world_vertices(sphere.vertices))
    normals = face_normals(mesh.vertices[mesh.faces])
    assert (normals * mesh.vertices[mesh.faces].mean(1)).sum(1).min() > 0.5
    assert mesh.face_colors is not None
    assert torch.equal(mesh.face_colors[0], torch.tensor(GREY))
    with pytest.raises(ValueError, match="3 numbers"):
        known_mesh(str(tmp_path / "sphere.ply"), [0.1])


def test_azimuths_are_told_within_a_turn() -> None:
    one = Viewpoints(torch.tensor([-30.0]), torch.zeros(1), torch.ones(1), torch.ones(1, 3))
    assert described(one)["azimuth"] == pytest.approx(330)
