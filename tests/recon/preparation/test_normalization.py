"""Objects of any coordinates are found and brought into the unit cube of the frame of models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from recon.formats.cameras.frame import Frame
from recon.formats.cameras.reader import find_camera_files
from recon.formats.stores import FolderStore
from recon.preparation.calibrated_views import CalibratedViews, Placement, read_calibrated_views
from recon.preparation.normalization import IDENTITY, find_normalization
from recon.preparation.sources.axes import orientation
from tests.recon.formats.cameras.exported import FORMATS, Camera, Similarity, export
from tests.recon.preparation.image_folders import SIZE, boxes, look_at, matrix

BLENDER = orientation("-y,+z").T  # from the frame of models to that of Blender
MOVED = Similarity(BLENDER, np.array([3.0, -2.0, 1.0]), 2.5)


def read(folder: Path, placement: Placement | None = None) -> CalibratedViews:
    store = FolderStore(folder)
    files = find_camera_files(store)
    assert files is not None
    return read_calibrated_views("scene", store, files, store, placement=placement)


def own_cameras(views: int = 8) -> list[tuple[np.ndarray, np.ndarray]]:
    """R and t of the exported cameras in the frame of models."""
    return [look_at(360 * k / views + 20, (25, -10, 50)[k % 3]) for k in range(views)]


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_asked_for_is_done_exactly(tmp_path: Path, form: str) -> None:
    """Of a file in Blender's frame, twice as large: the cameras of the frame of models."""
    export(tmp_path, form, Similarity(BLENDER, np.zeros(3), 2.0))
    found = read(tmp_path, Placement("-y,+z", "none", 0.5))
    assert found.normalization.side == 2.0
    for frame, (rotation, shift) in zip(found.frames, own_cameras(), strict=True):
        np.testing.assert_allclose(frame.pose["R"], rotation, atol=1e-4)
        np.testing.assert_allclose(frame.pose["t"], shift, atol=1e-4)


@pytest.mark.parametrize("form", FORMATS[1:])
def test_the_object_is_found_by_itself(tmp_path: Path, form: str) -> None:
    """Up exactly, the middle and the side to within the voxels of a hull."""
    export(tmp_path, form, MOVED)
    found = read(tmp_path).normalization
    np.testing.assert_allclose(found.rotation, BLENDER.T, atol=1e-6)
    np.testing.assert_allclose(found.center, MOVED.center, atol=0.03 * MOVED.side)
    assert found.side == pytest.approx(MOVED.side, rel=0.05)
    vertices = boxes()[0] @ (MOVED.side * MOVED.rotation.T) + MOVED.center
    placed = (np.linalg.inv(found.to_file()) @ np.c_[vertices, np.ones(len(vertices))].T)[:3].T
    assert np.abs(placed).max() < 0.52
    assert np.abs(placed).max() > 0.46


def test_where_the_optical_axes_pass_each_other(tmp_path: Path) -> None:
    export(tmp_path, "colmap_text", MOVED)
    found = read(tmp_path, Placement(center="cameras")).normalization
    np.testing.assert_allclose(found.center, MOVED.center, atol=1e-6)
    assert found.side == pytest.approx(MOVED.side, rel=0.05)
    kept = read(tmp_path, Placement(center="cameras", scale="none")).normalization
    assert kept.side == 1
    given = read(tmp_path, Placement(center="hull", scale=0.25)).normalization
    assert given.side == 4


@pytest.mark.parametrize(
    ("up", "front"), [("+y", "+z"), ("-y", "-z"), ("+z", "-y"), ("-x", "+z"), ("-z", "+y")]
)
def test_every_up_axis_is_found(up: str, front: str) -> None:
    turn = orientation(f"{front},{up}")
    frames = [frame_of(*Similarity(turn.T, np.zeros(3), 1.0).camera(*c)) for c in own_cameras()]
    found = find_normalization(frames, [full()] * 8, center="none", scale="none")
    np.testing.assert_allclose(found.rotation, turn, atol=1e-6)


def test_an_up_axis_between_those_of_the_file_is_found() -> None:
    turn = Rotation.from_rotvec([0.5, 0.3, -0.4]).as_matrix()
    frames = [frame_of(*Similarity(turn, np.zeros(3), 1.0).camera(*c)) for c in own_cameras()]
    found = find_normalization(frames, [full()] * 8, center="none", scale="none")
    np.testing.assert_allclose(found.rotation[1], turn @ [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(found.rotation) == pytest.approx(1)
    # The first image sees the front.
    front = found.apply(frames[0]).pose["R"] @ [1.0, 0, 0]
    assert front[2] < 0
    assert abs(front[0]) < 1e-6


def frame_of(rotation: np.ndarray, shift: np.ndarray) -> Frame:
    return Frame("a.png", None, {"R": rotation, "t": shift}, {"K": matrix()})


def full() -> np.ndarray:
    return np.ones(SIZE, bool)


def test_a_file_in_the_frame_of_models_is_left_as_it_is(tmp_path: Path) -> None:
    cameras: list[Camera] = export(tmp_path, "json", Similarity(np.eye(3), np.zeros(3), 1.0))
    found = read(tmp_path)
    assert found.normalization is IDENTITY
    assert (found.frames[3].pose["R"] == cameras[3].rotation).all()
    moved = read(tmp_path, Placement(center="hull")).normalization
    assert (moved.rotation == np.eye(3)).all()
    assert moved.side == pytest.approx(1, rel=0.05)


def test_what_cannot_be_placed_is_said(tmp_path: Path) -> None:
    frames = [frame_of(*camera) for camera in own_cameras()]
    empty = np.zeros(SIZE, bool)
    left = empty.copy()
    left[20:28, 2:10] = True
    for masks, message in (
        ([empty] * 8, "no camera has the object in front of it"),
        ([left] * 8, "no point is inside all masks, so images and cameras disagree"),
    ):
        with pytest.raises(ValueError, match=message):
            find_normalization(frames, masks)
    with pytest.raises(ValueError, match="the optical axes are parallel"):
        find_normalization([frames[0]] * 3, [full()] * 3)
    orbit = Frame("a.png", None, {"azimuth": np.array(0.0)}, {"fov": np.array(30.0)})
    with pytest.raises(ValueError, match="by azimuth and elevation are in the frame of models"):
        find_normalization([orbit], [full()], center="hull")
    for arguments, message in (
        ({"center": "middle"}, "center must be one of auto, hull, cameras, none, got 'middle'"),
        ({"scale": -1}, "scale must be auto, none or a number > 0, got -1"),
        ({"scale": True}, "scale must be"),
        ({"frame": "+x"}, "axes must be"),
        ({"frame": ["+x", "-x"]}, "two different directions"),
    ):
        with pytest.raises(ValueError, match=message):
            find_normalization(frames, [full()] * 8, **arguments)
