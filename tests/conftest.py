"""A small data set of generated shapes, which tests of whole runs share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from recon.cameras import SHAPENET_VIEWS, shapenet_cameras
from recon.datasets.categories import find_category
from recon.datasets.hdf5 import Header, Labels, Sample, write_dataset
from recon.meshes import icosphere
from recon.renderer import SoftRenderer
from recon.voxels import pack_voxels, voxelize_mesh

# Half axes of the ellipsoids of a category: long, flat and tall ones.
SHAPES = {"airplane": (0.48, 0.15, 0.3), "table": (0.4, 0.2, 0.45), "lamp": (0.15, 0.48, 0.2)}
PER_SPLIT = {"train": 3, "val": 1, "test": 2}


@pytest.fixture(scope="session")
def shapes_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An HDF5 file of 18 ellipsoids in 3 categories and 3 splits, 24 views of 64 x 64 each."""
    path = tmp_path_factory.mktemp("data") / "shapes.h5"
    write_shapes(path)
    return path


def write_shapes(path: Path) -> None:
    header = Header("generated", "tests", {}, (64, 64), SHAPENET_VIEWS, 32, "softras", {}, {})
    labels = [
        Labels(f"{split}-{name}-{i}", f"{name} {i}", find_category(name).synset, "", split, "CC0")
        for split, count in PER_SPLIT.items()
        for name in SHAPES
        for i in range(count)
    ]
    write_dataset(path, header, labels, _samples(labels))


def _samples(labels: list[Labels]) -> Iterator[Sample]:
    sphere = icosphere(2)
    cameras = shapenet_cameras(range(SHAPENET_VIEWS))
    renderer = SoftRenderer(64, sigma=1e-6)
    generator = torch.Generator().manual_seed(0)
    for label in labels:
        axes = torch.tensor(SHAPES[label.name.split()[0]])
        axes = axes * (0.85 + 0.15 * torch.rand(3, generator=generator))
        vertices = sphere.vertices * axes
        alpha = renderer.silhouette(vertices.expand(24, -1, -1), sphere.faces, cameras)
        color = torch.rand(3, generator=generator)[None, :, None, None]
        rgba = torch.cat([color.expand(24, 3, 64, 64), alpha[:, None]], dim=1)
        yield Sample(
            (rgba * 255).round().to(torch.uint8).numpy(),
            cameras.rows().numpy().astype(np.float32),
            pack_voxels(voxelize_mesh(vertices[None], sphere.faces))[0],
        )
