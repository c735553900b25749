"""The face of the library for Python: load, reconstruct, save, render, show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import recon
from recon.formats.meshes import read_mesh


def disc(side: int = 100) -> np.ndarray:
    """[side, side, 4]: a blue disc before nothing."""
    rows, columns = np.mgrid[:side, :side]
    inside = (rows - side / 2) ** 2 + (columns - side / 2) ** 2 < (side / 5) ** 2
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[inside] = (20, 40, 200, 255)
    return rgba


@pytest.fixture(scope="module")
def mesh(tiny_checkpoint: Path) -> recon.ReconstructedMesh:
    return recon.load(tiny_checkpoint).reconstruct(disc())


def test_a_mesh_is_that_of_the_function(
    mesh: recon.ReconstructedMesh, tiny_checkpoint: Path
) -> None:
    other = recon.reconstruct(disc(), tiny_checkpoint)
    assert torch.equal(mesh.vertices, other.vertices)
    assert torch.equal(mesh.faces, other.faces)
    assert mesh.colors is not None
    assert mesh.colors.shape == mesh.vertices.shape


def test_saved_meshes_are_read_as_they_were(mesh: recon.ReconstructedMesh, tmp_path: Path) -> None:
    mesh.save(tmp_path / "mesh.glb")
    read = read_mesh(tmp_path / "mesh.glb")
    assert torch.allclose(read.vertices[read.faces], mesh.vertices[mesh.faces], atol=1e-6)
    with pytest.raises(ValueError, match="must end in"):
        mesh.save(tmp_path / "mesh.xyz")


def test_the_eye_goes_round_the_mesh(mesh: recon.ReconstructedMesh) -> None:
    image = mesh.render(azimuth=30, elevation=10, image_size=(40, 60))
    assert image.shape == (3, 40, 60)
    assert bool((image[:, 0, 0] == 1).all())  # white around it
    assert float((image < 0.99).any(0).float().mean()) > 0.05
    assert not torch.equal(image, mesh.render(azimuth=120, elevation=10, image_size=(40, 60)))
    with pytest.raises(ValueError, match="distance must be > 0"):
        mesh.render(distance=0)


def test_several_images_are_one_batch(tiny_checkpoint: Path) -> None:
    model = recon.load(tiny_checkpoint, device="cpu")
    meshes = model.reconstruct_all([disc(), disc()[..., :3]], [None, disc()[..., 3]])
    assert torch.allclose(meshes[0].vertices, meshes[1].vertices, atol=1e-5)
    with pytest.raises(ValueError, match="one for each of 1 images, got 2"):
        model.reconstruct_all([disc()], [None, None])


def test_a_viewer_is_one_page_in_a_frame(mesh: recon.ReconstructedMesh) -> None:
    shown = mesh.show(height=300)._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "height: 300px" in shown
    assert "http-equiv" in shown
    assert "https://" not in shown


def test_the_package_shows_what_there_is_before_torch_is_loaded() -> None:
    script = (
        "import sys, recon; names = set(dir(recon)); assert set(recon.__all__) == names, names;"
        "assert 'torch' not in sys.modules; print(recon.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert {name: getattr(recon, name) for name in recon.__all__}
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        recon.absent  # noqa: B018


def test_the_shipped_model_is_taken_by_name_and_without(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = recon.load("objects13").reconstruct(disc())
    for other in (recon.load().reconstruct(disc()), recon.reconstruct(disc())):
        assert torch.equal(named.vertices, other.vertices)
    with pytest.raises(FileNotFoundError, match="the models are objects13"):
        recon.load("objects99")
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no weights are in this package"):
        recon.reconstruct(disc())
