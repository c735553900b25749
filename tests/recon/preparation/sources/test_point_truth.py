from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from recon.preparation.sources.model_frame import ModelFrame
from recon.preparation.sources.point_truth import PointTruth, open_points
from tests.recon.preparation.known_object import BOXES, inside

LOC, SCALE = (0.25, -0.5, 0.125), 4.0


def write(folder: Path, count: int = 400, surface: int = 300, **changes: object) -> None:
    """Points in and around the known object, and points of its front side, the nose's."""
    rng = np.random.default_rng(0)
    points = ((rng.random((count, 3)) - 0.5) * 1.1).astype(np.float16)
    low, high = BOXES[1]
    front = low + rng.random((surface, 3)) * (high - low)
    front[:, 0] = high[0]
    files = {
        "points": {
            "points": points,
            "occupancies": np.packbits(inside(points.astype(np.float64))),
            "loc": np.array(LOC),
            "scale": np.array(SCALE),
        },
        "pointcloud": {
            "points": front.astype(np.float32),
            "normals": np.tile(np.array([2, 0, 0], np.float32), (surface, 1)),
            "loc": np.array(LOC),
            "scale": np.array(SCALE),
        },
    }
    model = folder / "03001627" / "abc"
    model.mkdir(parents=True, exist_ok=True)
    for name, arrays in files.items():
        for key, value in changes.items():
            if key.startswith(f"{name}_"):
                arrays[key.removeprefix(f"{name}_")] = value
        np.savez(model / f"{name}.npz", **arrays)


def occupied(arrays, count: int) -> np.ndarray:
    return np.unpackbits(arrays["occupancies"], count=count).astype(bool)


def test_points_are_in_the_world_with_their_occupancies(tmp_path: Path) -> None:
    write(tmp_path)
    arrays = PointTruth(tmp_path, 400, 300).arrays("03001627", "abc")
    assert {k: (v.shape, v.dtype.name) for k, v in arrays.items()} == {
        "points": ((400, 3), "float16"),
        "occupancies": ((50,), "uint8"),
        "pointcloud": ((300, 3), "float32"),
        "pointcloud_normals": ((300, 3), "float32"),
    }
    x, y, z = arrays["points"].astype(np.float64).T
    assert (inside(np.stack([-z, y, -x], 1)) == occupied(arrays, 400)).all()
    assert 0.02 < occupied(arrays, 400).mean() < 0.5
    assert (arrays["pointcloud"][:, 2] == -0.5).all()  # the nose is in front, at -Z
    assert (arrays["pointcloud_normals"] == [0, 0, -1]).all()


def test_unpacked_occupancies_are_read(tmp_path: Path) -> None:
    write(tmp_path)
    packed = PointTruth(tmp_path, 400).arrays("03001627", "abc")
    write(tmp_path, points_occupancies=occupied(packed, 400))
    assert (
        PointTruth(tmp_path, 400).arrays("03001627", "abc")["occupancies"] == packed["occupancies"]
    ).all()


def test_a_choice_depends_on_seed_and_object_alone(tmp_path: Path) -> None:
    write(tmp_path)
    whole = PointTruth(tmp_path, 400, 300).arrays("03001627", "abc")
    truth = PointTruth(tmp_path, 50, 30)
    some, again = (t.arrays("03001627", "abc") for t in (truth, pickle.loads(pickle.dumps(truth))))
    assert all((some[key] == again[key]).all() for key in some)
    rows = [np.flatnonzero((whole["points"] == point).all(1))[0] for point in some["points"]]
    assert rows == sorted(set(rows))
    assert (occupied(whole, 400)[rows] == occupied(some, 50)).all()
    alone = PointTruth(tmp_path, 0, 30).arrays("03001627", "abc")
    assert (alone["pointcloud"] == some["pointcloud"]).all()
    other = PointTruth(tmp_path, 50, 30, seed=1).arrays("03001627", "abc")
    assert (other["points"] != some["points"]).any()


def test_another_frame_moves_the_points_with_the_model(tmp_path: Path) -> None:
    write(tmp_path)
    truth = PointTruth(tmp_path, 400, 300)
    assert truth.frame("03001627", "abc") == ModelFrame(LOC, SCALE)
    frame = ModelFrame((0.5, -1.0, 0.0), 5.0)
    arrays = truth.arrays("03001627", "abc", frame)
    x, y, z = arrays["points"].astype(np.float64).T
    own = np.stack([-z, y, -x], 1) * 5.0 + [0.5, -1.0, 0.0]
    normalised = (own - LOC) / SCALE
    # The world's points are rounded to half precision; near the surface that may cross it.
    assert (inside(normalised) == occupied(arrays, 400)).mean() > 0.98
    expected = (0.5 * SCALE + LOC[0] - 0.5) / 5.0
    assert arrays["pointcloud"][:, 2] == pytest.approx(-expected, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points_points": np.zeros((400, 4))}, r"points\.npz, array points"),
        ({"points_points": np.full((400, 3), np.nan)}, r"points\.npz: its points are not all"),
        ({"points_points": np.zeros((399, 3), "f2")}, None),
        ({"points_occupancies": np.zeros(49, np.uint8)}, "need 400 occupancies or 50 bytes"),
        ({"points_occupancies": np.array([{}], object)}, "must hold numbers, got object"),
        ({"pointcloud_normals": np.zeros((300, 3), "f4")}, "has 0 usable points, 30 are"),
        ({"pointcloud_normals": np.zeros((299, 3), "f4")}, r"pointcloud\.npz, array normals"),
        ({"points_scale": np.array(0.0)}, r"points\.npz: .*scale > 0"),
        ({"points_loc": np.zeros(2)}, r"points\.npz, array loc"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, changes, message: str | None) -> None:
    write(tmp_path, **changes)
    truth, frame = PointTruth(tmp_path, 50, 30), ModelFrame((0, 0, 0), 1)
    if message is None:  # one packed byte serves 393 to 400 points
        assert truth.arrays("03001627", "abc", frame)["points"].shape == (50, 3)
        return
    with pytest.raises(ValueError, match=message):
        truth.arrays("03001627", "abc", frame)


def test_missing_and_truncated_files_are_named(tmp_path: Path) -> None:
    write(tmp_path)
    truth = PointTruth(tmp_path, 50, 30)
    before = truth.state("03001627", "abc")
    with pytest.raises(FileNotFoundError, match="def"):
        truth.arrays("03001627", "def")
    with pytest.raises(ValueError, match="has 400 usable points, 401 are asked for"):
        PointTruth(tmp_path, 401).arrays("03001627", "abc")
    path = tmp_path / "03001627" / "abc" / "pointcloud.npz"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match=r"pointcloud\.npz: "):
        truth.arrays("03001627", "abc")
    assert truth.state("03001627", "abc") != before
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"pointcloud\.npz"):
        truth.arrays("03001627", "abc")


def test_bad_settings_are_refused(tmp_path: Path) -> None:
    assert open_points(None, 0, 0) is None
    assert open_points(tmp_path, 5, 0).num_points == 5
    for arguments, message in (
        ((None, 5, 0), "need points_folder"),
        ((tmp_path, 0, 0), "not both 0"),
        ((tmp_path, -1, 5), "must be >= 0"),
        ((tmp_path, 1, 5, -1), "seed"),
    ):
        with pytest.raises(ValueError, match=message):
            open_points(*arguments)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        PointTruth(tmp_path / "nowhere", 5)
