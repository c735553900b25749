from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recon.datasets.storage.hdf5 import Header, Labels, write_dataset
from recon.datasets.storage.layout import Layout, ObjectArrays, packed_bytes
from recon.formats.stores import FolderStore
from recon.geometry.cameras import shapenet_cameras

VIEWS, SIZE, RESOLUTION = 3, (6, 8), 4
CATEGORIES = ("03001627", "02958343")


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., FolderStore]:
    """Makes a store of the given files: names (with __ for the dot) or a dict, texts or bytes."""

    def make(files: dict[str, str | bytes]) -> FolderStore:
        for name, content in files.items():
            path = tmp_path / "store" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return FolderStore(tmp_path / "store")

    return make


@pytest.fixture
def header() -> Header:
    return Header(
        source="test",
        command="pytest",
        versions={"recon": "0"},
        config={"a": 1},
        failures={"x": "broken"},
    )


@pytest.fixture
def layout() -> Layout:
    return Layout(SIZE, VIEWS, (RESOLUTION,))


@pytest.fixture
def labels() -> list[Labels]:
    """Twelve objects: nine chairs and three cars, every third one of the test split."""
    return [
        Labels(
            id=f"object-{k}",
            name=f"näme {k}",
            synset=CATEGORIES[k >= 9],
            group=f"family-{k}",
            split="test" if k % 3 == 0 else "train",
            licence="CC0-1.0",
        )
        for k in range(12)
    ]


@pytest.fixture
def samples() -> list[ObjectArrays]:
    rng = np.random.default_rng(0)
    return [
        {
            "images": rng.integers(0, 256, (VIEWS, 4, *SIZE), np.uint8),
            "cameras": shapenet_cameras(rng.integers(24, size=VIEWS)).rows().numpy(),
            f"voxels_{RESOLUTION}": rng.integers(0, 256, packed_bytes(RESOLUTION**3), np.uint8),
        }
        for _ in range(12)
    ]


@pytest.fixture
def data_file(
    tmp_path: Path,
    header: Header,
    layout: Layout,
    labels: list[Labels],
    samples: list[ObjectArrays],
) -> Path:
    path = tmp_path / "data.h5"
    write_dataset(path, header, layout, labels, samples)
    return path
