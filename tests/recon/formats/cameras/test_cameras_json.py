from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from recon.formats.cameras.cameras_json import parse_cameras
from recon.geometry.cameras import Cameras
from recon.geometry.frames import world_vertices
from tests.recon.preparation.image_folders import frame_records, look_at, matrix

ORBIT = {"azimuth": 20, "elevation": 10, "distance": 2.5, "fov": 40}


def encoded(*frames: Any, **shared: Any) -> bytes:
    return json.dumps({**shared, "frames": list(frames)}).encode()


def changed(**changes: Any) -> bytes:
    """A file whose second frame, of matrices, is changed; None takes a key away."""
    first, second = frame_records(2)
    second = {k: v for k, v in {**second, **changes}.items() if v is not None}
    return encoded(first, second)


def test_matrices_see_the_frame_of_models() -> None:
    rotation, shift = look_at(35, 20)
    (frame,) = parse_cameras(
        encoded({"file": "a.png", "K": matrix().tolist(), "R": rotation.tolist(),
                 "t": shift.tolist(), "_note": "mine"})
    )  # fmt: skip
    assert (frame.file, frame.mask) == ("a.png", None)
    point = np.array([0.1, -0.2, 0.3])
    column, row, depth = matrix() @ (rotation @ point + shift)
    camera = frame.camera(frame.matrix((48, 64)), (48, 64))
    world = world_vertices(torch.from_numpy(point).float())[None, None]
    x, y, z = camera.project(world, (48, 64))[0, 0].tolist()
    assert_allclose((x * 48 + 63) / 2, column / depth, atol=1e-4)
    assert_allclose((47 - y * 48) / 2, row / depth, atol=1e-4)
    assert_allclose(z, depth, rtol=1e-6)
    assert_allclose(camera.orbit_parameters()[0, :3], [35, 20, 2], atol=1e-4)


def test_an_orbit_is_that_of_the_renderings() -> None:
    (frame,) = parse_cameras(encoded({"file": "a.png", "azimuth": 20}, **{
        key: ORBIT[key] for key in ("elevation", "distance", "fov")}))  # fmt: skip
    camera = frame.camera(frame.matrix((30, 50)), (30, 50))
    expected = Cameras.orbit(*(torch.tensor([float(value)]) for value in ORBIT.values()))
    assert_allclose(camera.rows(), expected.rows(), atol=1e-6)


def test_poses_and_intrinsics_combine_and_own_values_win() -> None:
    rotation, shift = look_at(0, 0)
    pose = {"R": rotation.tolist(), "t": shift.tolist()}
    frames = parse_cameras(
        encoded(
            {"file": "a.png", "azimuth": 1},
            {"file": "b.png", "azimuth": 1, "elevation": -5, "fov": 20},
            {"file": "c.png", **pose},
            {"file": "sub/./d.png", "mask": "m/d.png", "azimuth": 1},
            K=matrix().tolist(), elevation=30, distance=2,
        )
    )  # fmt: skip
    assert [list(frame.intrinsics) for frame in frames] == [["K"], ["fov"], ["K"], ["K"]]
    assert [float(frame.pose.get("elevation", 0)) for frame in frames] == [30, -5, 0, 30]
    assert (frames[3].file, frames[3].mask) == ("sub/d.png", "m/d.png")


NAN = float("nan")
SKEWED = [[70, 1, 32], [0, 70, 24], [0, 0, 1]]
BACKWARD = [-1.0, 0.0, -2.0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not JSON", "not valid JSON"),
        (b'{"frames": [', "not valid JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", r'must hold an object \{"frames"'),
        (b"{}", "key frames must be a list of at least one frame, got nothing"),
        (encoded(), "key frames must be a list of at least one frame, got a list of 0"),
        (encoded("000.png"), 'frame 0: it must be an object .* got "000.png"'),
        (encoded(ORBIT), "frame 0: key file is missing"),
        (encoded({"file": "a.png", **ORBIT}, fps=3), "key fps is unknown; the known ones are"),
        (b'{"frames": [{"file": "a", "file": "b"}]}', "key file stands twice"),
        (changed(roll=3), r"frame 1 \(001.png\): key roll is unknown"),
        (changed(R=[[1, 0], [0, 1]]), r"frame 1 \(001.png\): key R must be 3 rows of 3 numbers"),
        (changed(R=[[1, 0, 0], [0, 1, 0], [0, 0, "1"]]), "key R must be 3 rows of 3 numbers"),
        (changed(R=[[2, 0, 0], [0, 2, 0], [0, 0, 2]]), "key R must be a rotation.* differs .* 3"),
        (changed(R=[[1, 0, 0], [0, 1, 0], [0, 0, -1]]), "key R .* determinant is -1"),
        (changed(t=[0, 0]), r"key t must be 3 numbers, got \[0, 0\]"),
        (changed(t=[0, NAN, 2]), "key t must be finite"),
        (changed(t=[0, 10**400, 2]), "key t must be finite"),
        (changed(t=[0, 1e300, 2]), "key t must be finite"),
        (changed(t=BACKWARD), "key t must have the origin in front .* depth is -2"),
        (changed(K=[70, 70]), "key K must be 3 rows of 3 numbers"),
        (changed(K=SKEWED), "key K must be .* without skew"),
        (changed(K=[[-70, 0, 32], [0, 70, 24], [0, 0, 1]]), "key K must have focal lengths > 0"),
        (changed(K=None), "key fov is missing"),
        (changed(t=None), "key t is missing"),
        (changed(R=None, t=None), "key azimuth is missing"),
        (changed(azimuth=3), "R and t cannot stand together with azimuth"),
        (changed(fov=30), "K and fov cannot stand together"),
        (encoded({"file": "a"}, K=SKEWED, fov=3), "without skew"),
        (encoded({"file": "a"}, K=matrix().tolist(), fov=3), "K and fov are both shared"),
        (encoded({"file": "a", **ORBIT, "fov": 180}), r"fov must lie in \(0, 180\) degrees"),
        (encoded({"file": "a", **ORBIT, "fov": True}), "key fov must be a number, got true"),
        (encoded({"file": "a", **ORBIT, "distance": 0}), "key distance must be > 0"),
        (changed(file=""), "key file must be the name of a file"),
        (changed(file=7), "key file must be the name of a file, got 7"),
        (changed(file="../a.png"), "key file must be a name inside the object's folder"),
        (changed(file="/etc/a.png"), "key file must be a name inside"),
        (changed(file="a\ud800.png"), "key file must be a name inside"),
        (changed(file="C:\\a.png"), "key file must be a name inside"),
        (changed(mask="m\\..\\..\\a.png"), "key mask must be a name inside"),
        (changed(file="./000.PNG"), "frames 0 and 1 have the same file"),
    ],
)
def test_mistakes_are_named(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_cameras(data)


def test_intrinsics_in_other_units_are_refused() -> None:
    normalised = [[1.2, 0, 0.5], [0, 1.6, 0.5], [0, 0, 1]]
    (frame,) = parse_cameras(encoded({**frame_records(1)[0], "K": normalised}))
    with pytest.raises(ValueError, match=r"key K has the focal length 1.2.* width of 64 pixels"):
        frame.matrix((48, 64))
