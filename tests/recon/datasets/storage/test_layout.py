from __future__ import annotations

import numpy as np
import pytest

from recon.datasets.storage.layout import Layout, layout_of, packed_bytes, voxel_resolutions

FULL = Layout((6, 8), 3, (4, 16), ("shading", "depth", "normals"), 9, 5, 7)


def test_fields_have_the_documented_shapes_and_types() -> None:
    assert {name: (field.shape, field.dtype) for name, field in FULL.fields().items()} == {
        "images": ((3, 4, 6, 8), "uint8"),
        "cameras": ((3, 16), "float32"),
        "voxels_4": ((8,), "uint8"),
        "voxels_16": ((512,), "uint8"),
        "shading": ((3, 6, 8), "uint8"),
        "depth": ((3, 6, 8), "float32"),
        "normals": ((3, 3, 6, 8), "int8"),
        "points": ((9, 3), "float16"),
        "occupancies": ((2,), "uint8"),
        "pointcloud": ((5, 3), "float32"),
        "pointcloud_normals": ((5, 3), "float32"),
        "triangles": ((7, 3, 3), "float16"),
        "triangle_colors": ((7, 3, 3), "uint8"),
    }
    assert list(Layout((6, 8), 3).fields()) == ["images", "cameras"]
    assert FULL.fields()["depth"].nbytes == 3 * 6 * 8 * 4


@pytest.mark.parametrize("layout", [FULL, Layout((6, 8), 3), Layout((1, 1), 1, (32,))])
def test_a_layout_is_known_by_its_shapes(layout: Layout) -> None:
    shapes = {name: field.shape for name, field in layout.fields().items()}
    assert layout_of({**shapes, "something": (7,)}) == layout


def test_packed_bytes_are_rounded_up() -> None:
    assert [packed_bytes(r**3) for r in (1, 2, 3, 32)] == [1, 1, 4, 4096]


def test_voxel_resolutions_are_read_off_the_names() -> None:
    names = ["voxels_64", "voxels_8", "voxels", "voxels_08", "voxels_x", "images"]
    assert voxel_resolutions(names) == (8, 64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_views": 0}, "must be >= 1"),
        ({"image_size": (0, 8)}, "must be >= 1"),
        ({"voxel_resolutions": (0,)}, "must be >= 1"),
        ({"voxel_resolutions": (8, 8)}, "voxel_resolutions must differ"),
        ({"maps": ("colour",)}, "maps must be among"),
        ({"num_points": -1}, "numbers of points must be >= 0"),
        ({"num_triangles": -1}, "num_triangles must be >= 0, got -1"),
    ],
)
def test_impossible_layouts_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layout(**{"image_size": (6, 8), "num_views": 3, **settings})


def test_a_sample_of_another_layout_is_refused() -> None:
    sample = {name: np.zeros(shape, dtype) for name, (shape, dtype) in FULL.fields().items()}
    FULL.check(sample)
    with pytest.raises(ValueError, match=r"depth must be float32 .* got float64"):
        FULL.check({**sample, "depth": sample["depth"].astype(float)})
    del sample["points"]
    with pytest.raises(ValueError, match="fields must be"):
        FULL.check(sample)
