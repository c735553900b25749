"""What tests of whole runs share: a small data set of generated shapes, and command lines."""

from __future__ import annotations

import logging
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

from recon.datasets.categories import find_category
from recon.datasets.framing import usual_framing
from recon.datasets.storage.hdf5 import Header, Labels, write_dataset
from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.geometry.cameras import SHAPENET_VIEWS, shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.geometry.voxels import pack_voxels, voxelize_mesh
from recon.preparation.prepare import as_images, prepare
from recon.preparation.rendering.objects import ObjectRenderer
from recon.preparation.rendering.viewpoints import StandardViews
from recon.preparation.sources.shapes import ShapesSource
from recon.rendering.lighting import Lighting
from recon.rendering.renderer import SoftRenderer
from recon.runs.checkpoints import save_checkpoint
from recon.runs.trained_models import build_model, load_trained_model
from recon.runs.weight_files import save_weights

ROOT = Path(__file__).resolve().parents[1]

# Half axes of the ellipsoids of a category: long, flat and tall ones.
SHAPES = {"airplane": (0.48, 0.15, 0.3), "table": (0.4, 0.2, 0.45), "lamp": (0.15, 0.48, 0.2)}
PER_SPLIT = {"train": 3, "val": 1, "test": 2}


@pytest.fixture(scope="session")
def shapes_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An HDF5 file of 18 ellipsoids in 3 categories and 3 splits, 24 views of 64 x 64 each."""
    path = tmp_path_factory.mktemp("data") / "shapes.h5"
    write_shapes(path)
    return path


@pytest.fixture(scope="session")
def more_shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An HDF5 file like that of `shapes_file`, of other ellipsoids."""
    path = tmp_path_factory.mktemp("data") / "more_shapes.h5"
    write_shapes(path, prefix="more-", seed=1)
    return path


@pytest.fixture(scope="session")
def shaded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An HDF5 file of 4 generated chairs, 24 views of 64 x 64 each, with maps of shading."""
    path = tmp_path_factory.mktemp("data") / "shaded.h5"
    renderer = ObjectRenderer(
        viewpoints=StandardViews(),
        supersample=1,
        maps=["shading"],
        lighting=Lighting(0.5, 0.5, (0.4, 1.0, -0.6), two_sided=True),
    )
    prepare(as_images(ShapesSource(4, categories=["chair"]), renderer), path, workers=1)
    return path


def write_shapes(path: Path, prefix: str = "", seed: int = 0) -> None:
    header = Header("generated", "tests", {}, {}, {})
    layout = Layout((64, 64), SHAPENET_VIEWS, (32,))
    labels = [
        Labels(
            id=f"{prefix}{split}-{name}-{i}",
            name=f"{name} {i}",
            synset=find_category(name).synset,
            group="",
            split=split,
            licence="CC0",
        )
        for split, count in PER_SPLIT.items()
        for name in SHAPES
        for i in range(count)
    ]
    write_dataset(path, header, layout, labels, _samples(labels, seed))


def _samples(labels: list[Labels], seed: int) -> Iterator[ObjectArrays]:
    sphere = icosphere(2)
    cameras = shapenet_cameras(range(SHAPENET_VIEWS))
    renderer = SoftRenderer(64, sigma=1e-6)
    generator = torch.Generator().manual_seed(seed)
    for label in labels:
        axes = torch.tensor(SHAPES[label.name.split()[0]])
        axes = axes * (0.85 + 0.15 * torch.rand(3, generator=generator))
        vertices = sphere.vertices * axes
        alpha = renderer.silhouette(vertices.expand(24, -1, -1), sphere.faces, cameras)
        color = torch.rand(3, generator=generator)[None, :, None, None]
        rgba = torch.cat([color.expand(24, 3, 64, 64), alpha[:, None]], dim=1)
        yield {
            "images": (rgba * 255).round().to(torch.uint8).numpy(),
            "cameras": cameras.rows().numpy(),
            "voxels_32": pack_voxels(voxelize_mesh(vertices[None], sphere.faces))[0],
        }


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of an untrained model with colours, which predicts about a sphere."""
    torch.manual_seed(0)
    settings = {
        "_target_": "recon.models.Reconstructor",
        "_convert_": "all",
        "encoder": {
            "_target_": "recon.models.SoftRasEncoder",
            "channels": [4, 8, 8, 8],
            "hidden": [16],
            "latent": 8,
        },
        "decoder": {
            "_target_": "recon.models.MeshDecoder",
            "latent": 8,
            "hidden": [16],
            "subdivisions": 1,
        },
        "color_head": {
            "_target_": "recon.models.VertexColorHead",
            "_partial_": True,
            "latent": 8,
            "hidden": [8],
        },
    }
    model = build_model({"config": {"model": settings}})
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pt"
    content = {"model": model.state_dict(), "optimizer": {}, "step": 3}
    save_checkpoint(path, {**content, "config": {"model": settings, "data": {"path": None}}})
    return path


@pytest.fixture
def shipped(
    tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder of shipped models with one, objects13: the untrained one of `tiny_checkpoint`."""
    folder = tmp_path_factory.mktemp("weights")
    trained = load_trained_model(tiny_checkpoint)
    checkpoint = {**trained.checkpoint, "framing": usual_framing().plain()}
    save_weights(folder / "objects13.safetensors", trained.model, checkpoint)
    monkeypatch.setenv("RECON_WEIGHTS", str(folder))
    return folder


Finished = subprocess.CompletedProcess


@pytest.fixture(scope="session")
def run_script() -> Callable[..., Finished[str]]:
    """Runs a script of the repository in a process of its own, as a user does."""

    def run(script: str, *overrides: str) -> Finished[str]:
        return subprocess.run(
            [sys.executable, script, *overrides],
            cwd=ROOT,
            env=script_environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def script_environment() -> dict[str, str]:
    """The environment of a script: one thread, as tests run beside each other."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HYDRA_FULL_ERROR": "0"}


@pytest.fixture
def run_script_here(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Finished[str]]:
    """Runs a script in this process: without the seconds of starting one, for short failures."""

    def run(script: str, *overrides: str) -> Finished[str]:
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", [script, *overrides])
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        root = logging.getLogger()
        handlers, level = list(root.handlers), root.level
        GlobalHydra.instance().clear()
        try:
            runpy.run_path(script, run_name="__main__")
            status = 0
        except SystemExit as exit_:
            status = exit_.code if isinstance(exit_.code, int) else 1
            if isinstance(exit_.code, str):  # as Python does
                print(exit_.code, file=sys.stderr)
        finally:
            GlobalHydra.instance().clear()
            root.handlers, root.level = handlers, level
        out, err = capfd.readouterr()
        return Finished([script, *overrides], status, out, err)

    return run
