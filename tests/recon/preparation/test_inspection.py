from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from recon.datasets.storage.hdf5 import Header, Labels, write_dataset
from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.geometry.cameras import shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.geometry.voxels import pack_voxels, voxelize_mesh
from recon.preparation.inspection import describe, inspect_file, joint_table
from recon.preparation.prepare import prepare
from recon.preparation.rendering.objects import ObjectRenderer, RenderedSource
from recon.preparation.sources.shapes import ShapesSource
from recon.rendering.renderer import SoftRenderer

VIEWS = (0, 4, 8, 13, 18)
LICENCES = ("CC0-1.0", "CC0-1.0", "")


def ellipsoid(axes: tuple[float, float, float], voxel_axes: tuple[int, ...]) -> ObjectArrays:
    """Images of 32 x 32 pixels and voxels, whose axes are stored in some order."""
    ball = icosphere(2)
    # Not symmetric about any plane, so that every order of axes differs.
    vertices = ball.vertices * torch.tensor(axes)
    vertices = vertices * (1 + 0.3 * ball.vertices @ torch.tensor([1.0, 0.8, -0.9])[:, None])
    vertices = vertices / vertices.abs().max() / 2
    cameras = shapenet_cameras(VIEWS)
    renderer = SoftRenderer(32, sigma=1e-8, alpha="hard")
    alpha = renderer.silhouette(vertices.expand(len(VIEWS), -1, -1), ball.faces, cameras)
    images = (alpha[:, None].expand(-1, 4, -1, -1) * 255).to(torch.uint8).numpy()
    voxels = voxelize_mesh(vertices[None], ball.faces)[0].permute(*voxel_axes).contiguous()
    return {
        "images": images,
        "cameras": cameras.rows().numpy(),
        "voxels_32": pack_voxels(voxels),
    }


@pytest.fixture
def ellipsoids(tmp_path: Path) -> Callable[..., Path]:
    """Make a file of three ellipsoids."""

    def make(voxel_axes: tuple[int, ...] = (0, 1, 2), prefix: str = "o") -> Path:
        labels = [
            Labels(f"{prefix}{k}", "", ("03001627", "mug")[k % 2], "", "train", LICENCES[k])
            for k in range(3)
        ]
        samples = [ellipsoid((0.5, 0.3, s), voxel_axes) for s in (0.1, 0.15, 0.2)]
        header = Header("made", "a command", {"recon": "1.2"}, {"a": [1]}, {"x": "why", "y": "too"})
        path = tmp_path / f"{prefix}.h5"
        write_dataset(path, header, Layout((32, 32), len(VIEWS), (32,)), labels, samples)
        return path

    return make


def test_facts_of_a_file(ellipsoids: Callable[..., Path]) -> None:
    path = ellipsoids()
    facts = inspect_file(path)
    assert facts.size == path.stat().st_size
    assert facts.header["schema"] == "recon.multiview, version 2"
    assert facts.header["versions"] == "recon 1.2"
    assert facts.counts == Counter({("03001627", "train"): 2, ("mug", "train"): 1})
    assert facts.licences == Counter({"CC0-1.0": 2, "": 1})
    assert facts.failures == {"x": "why", "y": "too"}
    assert ["cameras", "3x5x16", "float32", "-", "none", "0.00 MB"] in facts.fields
    assert ["images", "3x5x4x32x32", "uint8", "1x1x4x32x32", "none", "0.06 MB"] in facts.fields
    assert facts.cameras["azimuth"] == pytest.approx((-120, 165), abs=1e-3)
    assert facts.cameras["distance"] == pytest.approx((2.732, 2.732), abs=1e-4)
    with h5py.File(path) as file:
        coverage = file["images"][:, :, 3].mean(axis=(1, 2, 3)) / 255
        filled = np.unpackbits(file["voxels_32"][:], axis=1).mean(axis=1)
    assert facts.sample.coverage == pytest.approx(coverage.tolist())
    assert facts.sample.fills["voxels_32"] == pytest.approx(filled.tolist())
    assert facts.sample.leaving == []


def test_text_for_a_person(ellipsoids: Callable[..., Path]) -> None:
    text = describe(inspect_file(ellipsoids(), sample=2))
    for part in (
        "objects   3, 2 left out",
        "source    made",
        'recipe    {"a": [1]}',
        "elevation 30, distance 2.732, fov 30",
        "sample    2 objects",
        "0 of 2 objects touch the border",
        "voxels_32 occupied 0.",
        "voxels with masks 1.00; axes of voxels fit as they are stored",
        "licences  CC0-1.0: 2, none: 1",
        "left out: y: too",
    ):
        assert part in text
    assert "warning" not in text


def test_used_triangles_are_counted(tmp_path: Path) -> None:
    renderer = ObjectRenderer(16, supersample=1, voxel_resolutions=(), triangles=256)
    path = tmp_path / "shapes.h5"
    source = ShapesSource(objects_per_category=1, categories=["chair"])
    prepare(RenderedSource(source, renderer), path, workers=1)
    facts = inspect_file(path)
    with h5py.File(path) as file:
        used = int(file["triangles"][0].any(axis=(1, 2)).sum())
    assert 0 < used < 256
    assert facts.sample.fills == {"triangles": [used / 256]}
    assert f"triangles used {used / 256:.3f}" in describe(facts)
    assert ["triangles", "1x256x3x3", "float16", "-", "none", "0.00 MB"] in facts.fields


def test_a_wrong_order_of_voxel_axes_is_seen(ellipsoids: Callable[..., Path]) -> None:
    text = describe(inspect_file(ellipsoids(voxel_axes=(2, 0, 1))))
    assert "axes of voxels fit better as [z, x, y]" in text
    assert "warning: voxels and masks agree only to" in text
    assert "warning: voxels fit the masks better when their axes are read as [z, x, y]" in text


def test_many_failures_are_shortened(ellipsoids: Callable[..., Path]) -> None:
    facts = inspect_file(ellipsoids(), sample=1)
    many = {f"id{k}": "broken" for k in range(12)}
    text = describe(type(facts)(**{**facts.__dict__, "failures": many}))
    assert "left out: id9: broken\n  left out: 2 more" in text


def test_files_are_counted_together(ellipsoids: Callable[..., Path]) -> None:
    facts = [inspect_file(ellipsoids(prefix=prefix), sample=1) for prefix in "ab"]
    assert joint_table(facts).splitlines()[1:] == [
        "chair         4    4",
        "mug           2    2",
        "all           6    6",
    ]


def test_damaged_files_are_named(ellipsoids: Callable[..., Path], tmp_path: Path) -> None:
    path = ellipsoids()
    with h5py.File(path, "r+") as file:
        file["cameras"][1] = np.nan
    with pytest.raises(ValueError, match=r"o\.h5 is damaged: field cameras differs"):
        inspect_file(path)
    with h5py.File(path, "r+") as file:
        file.attrs["versions"] = "{"
    with pytest.raises(ValueError, match=r"o\.h5: attributes differ .* is damaged"):
        inspect_file(path)
    with pytest.raises(FileNotFoundError, match=r"gone\.h5"):
        inspect_file(tmp_path / "gone.h5")


def test_a_file_without_objects(tmp_path: Path, ellipsoids: Callable[..., Path]) -> None:
    with h5py.File(ellipsoids()) as old, h5py.File(tmp_path / "empty.h5", "w") as new:
        for name, value in old.attrs.items():
            new.attrs[name] = value
        for name in set(old) - {"checksums"}:
            field = old[name]
            new.create_dataset(name, data=field[:0] if field.shape else field[()])
    with pytest.raises(ValueError, match=r"empty\.h5 is damaged: it has no objects"):
        inspect_file(tmp_path / "empty.h5")
