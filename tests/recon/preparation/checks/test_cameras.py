from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from recon.geometry.cameras import Cameras
from recon.geometry.voxels import unpack_voxels
from recon.preparation.checks.cameras import (
    CameraCheck,
    best_axis_order,
    camera_warnings,
    check_cameras,
)
from recon.preparation.sources.images import ImagesSource
from tests.recon.preparation.image_folders import Record, write_object


def right(record: Record) -> Record:
    return record


def transposed(record: Record) -> Record:
    return {**record, "R": np.transpose(record["R"]).tolist()}


def left_handed(record: Record) -> Record:
    """A world with z the other way, made a rotation again by turning x of the camera, too."""
    turn = np.diag([-1, 1, 1])
    rotation = turn @ np.array(record["R"]) @ np.diag([1, 1, -1])
    return {**record, "R": rotation.tolist(), "t": (turn @ record["t"]).tolist()}


def of_twice_the_size(record: Record) -> Record:
    return {**record, "K": (np.array(record["K"]) * [[2], [2], [1]]).tolist()}


def checked(folder: Path, mistake: Callable[[Record], Record], mesh: bool = True) -> CameraCheck:
    if not folder.exists():
        write_object(folder / "chair" / "one", mistake=mistake, mesh=True)
    source = ImagesSource(folder, voxels="mesh" if mesh else "none")
    arrays = source.arrays(source.objects()[0])
    cameras = Cameras.from_rows(torch.from_numpy(arrays["cameras"]))
    voxels = unpack_voxels(arrays["voxels_32"], 32) if mesh else None
    return check_cameras(arrays["images"], cameras, voxels)


def test_right_cameras_are_not_complained_of(tmp_path: Path) -> None:
    check = checked(tmp_path / "data", right)
    assert check.hull_agreement.min() > 0.98
    assert check.voxel_agreement is not None
    assert check.voxel_agreement.min() > 0.98
    assert check.span > 0.95
    assert camera_warnings([check]) == []
    assert camera_warnings([checked(tmp_path / "data", right, mesh=False)]) == []


@pytest.mark.parametrize("mistake", [transposed, left_handed, of_twice_the_size])
@pytest.mark.parametrize("mesh", [False, True])
def test_mistaken_cameras_are_noticed(
    tmp_path: Path, mistake: Callable[[Record], Record], mesh: bool
) -> None:
    check = checked(tmp_path / "data", mistake, mesh)
    assert "masks and cameras agree only to" in camera_warnings([check])[0]
    assert ("voxels and masks agree only to" in camera_warnings([check])[-1]) == mesh


def test_images_upside_down_are_noticed(tmp_path: Path) -> None:
    write_object(tmp_path / "data" / "chair" / "one", mesh=True)
    for path in tmp_path.glob("data/*/*/*.png"):
        with Image.open(path) as image:
            ImageOps.flip(image).save(path)
    found = camera_warnings([checked(tmp_path / "data", right)])
    assert "is y up or down" in found[0]
    assert len(found) == 2  # of the axes of voxels nothing can be said


def test_a_hull_of_nothing_is_reported(tmp_path: Path) -> None:
    check = checked(tmp_path / "data", right)
    nothing = replace(check, hull=torch.zeros_like(check.hull))
    assert nothing.span == 0
    assert camera_warnings([check, nothing]) == ["no point lies inside all masks of 1 of 2 objects"]


def test_objects_of_another_scale_are_reported(tmp_path: Path) -> None:
    check = checked(tmp_path / "data", right)
    hull = torch.zeros_like(check.hull)
    hull[20:36, 30:40, 30:40] = True
    assert camera_warnings([replace(check, hull=hull)]) == [
        "objects span only 0.25 of the unit cube: are focal lengths, distances or t in other units?"
    ]


def test_axes_of_voxels_in_another_order_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    check = checked(folder, right)
    assert best_axis_order([check])[0] == "[x, y, z]"
    source = ImagesSource(folder, voxels="mesh")
    arrays = source.arrays(source.objects()[0])
    cameras = Cameras.from_rows(torch.from_numpy(arrays["cameras"]))
    assert check.voxels is not None
    stored = check.voxels.permute(1, 0, 2).flip(2).contiguous()
    wrong = check_cameras(arrays["images"], cameras, stored)
    assert best_axis_order([wrong])[0] == "[y, x, -z]"
    found = camera_warnings([wrong])
    assert "voxels and masks agree only to" in found[0]
    assert "better when their axes are read as [y, x, -z] instead of [x, y, z]" in found[1]
