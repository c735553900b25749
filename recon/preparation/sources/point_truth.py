"""Points with occupancies, and points of the surface, as Occupancy Networks distributes them.

FOLDER/synset/model/ has

    points.npz      points [P, 3] (float16 or float32), occupancies (P packed bits, the first in
                    the highest bit, or P numbers), loc [3], scale
    pointcloud.npz  points [M, 3], normals [M, 3], loc [3], scale

Points are in the axes of the ShapeNetCore v1 frame, with the bounding box centred and its longest
side 1; the position in the model's own file is scale * point + loc.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recon.datasets.storage.layout import ObjectArrays, packed_bytes
from recon.formats.npz import Npz
from recon.geometry.frames import world_vertices
from recon.preparation.sources.model_folders import files_state, open_model
from recon.preparation.sources.model_frame import NORMALISED, ModelFrame

POINTS_FILE = "points.npz"
SURFACE_FILE = "pointcloud.npz"
# A normal shorter than this belongs to a face without area and has no direction.
MIN_NORMAL = 1e-3


class PointTruth:
    """Evaluation truth for objects of ShapeNet, by synset and model.

    Args:
        folder: The folder that has a folder per synset, with a folder per model.
        num_points: The number of points with occupancies to take of each object.
        num_surface_points: The number of surface points to take of each object.
        seed: The seed of the choice where a file has more points.

    Attributes:
        num_points: The number of points with occupancies per object, 0 for none.
        num_surface_points: The number of surface points per object, 0 for none.

    Raises:
        FileNotFoundError: If `folder` is not a folder.
        ValueError: If a number is out of range or nothing is asked for.
    """

    def __init__(
        self,
        folder: str | Path,
        num_points: int = 0,
        num_surface_points: int = 0,
        seed: int = 0,
    ) -> None:
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"folder not found: {folder}")
        if min(num_points, num_surface_points) < 0 or num_points + num_surface_points == 0:
            raise ValueError(
                "num_points and num_surface_points must be >= 0 and not both 0,"
                f" got {num_points} and {num_surface_points}"
            )
        if seed < 0:
            raise ValueError(f"seed must be >= 0, got {seed}")
        self._folder = str(folder)
        self.num_points = num_points
        self.num_surface_points = num_surface_points
        self._seed = seed

    def config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            "num_points": self.num_points,
            "num_surface_points": self.num_surface_points,
            "seed": self._seed,
        }

    def state(self, synset: str, model: str) -> Any:
        """Returns plain data which changes when the files of an object may have changed."""
        return files_state(self._folder, synset, model, (POINTS_FILE, SURFACE_FILE))

    def frame(self, synset: str, model: str) -> ModelFrame:
        """Returns where the normalised model lies in the coordinates of its own file.

        Raises:
            ValueError, OSError: If the file is missing or damaged; the message names it.
        """
        name = POINTS_FILE if self.num_points else SURFACE_FILE
        return _frame(Npz(open_model(self._folder, synset, model), name))

    def arrays(self, synset: str, model: str, frame: ModelFrame | None = None) -> ObjectArrays:
        """Returns the fields points and occupancies, pointcloud and pointcloud_normals.

        A choice among the points depends on the seed and the object alone.

        Args:
            synset: The synset of the object.
            model: The id of the object.
            frame: The cube of the model's own coordinates which is [-0.5, 0.5]^3 of the world;
                None is the one of the points, that of the normalised model.

        Raises:
            ValueError, OSError: If the file is missing, damaged or has too few points; the message
                names it.
        """
        store = open_model(self._folder, synset, model)
        key = f"{synset}/{model}"
        arrays: ObjectArrays = {}
        if self.num_points:
            file, chooser = Npz(store, POINTS_FILE), self._chooser(f"{key}/{POINTS_FILE}")
            arrays |= _points(file, self.num_points, chooser, frame)
        if self.num_surface_points:
            file, chooser = Npz(store, SURFACE_FILE), self._chooser(f"{key}/{SURFACE_FILE}")
            arrays |= _surface(file, self.num_surface_points, chooser, frame)
        return arrays

    def _chooser(self, key: str) -> np.random.Generator:
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        return np.random.default_rng([self._seed, int.from_bytes(digest[:8], "little")])


def open_points(
    folder: str | Path | None, num_points: int, num_surface_points: int, seed: int = 0
) -> PointTruth | None:
    """Returns the truth in a folder, or None where none is asked for.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If points are asked for without a folder, or a folder without points.
    """
    if folder is None:
        if num_points or num_surface_points:
            raise ValueError(
                "num_points and num_surface_points need points_folder, the folder of"
                " Occupancy Networks' data"
            )
        return None
    return PointTruth(folder, num_points, num_surface_points, seed)


def _points(
    file: Npz, count: int, chooser: np.random.Generator, frame: ModelFrame | None
) -> ObjectArrays:
    points = _positions(file)
    inside = _occupancies(file, len(points))
    rows = _choose(file, np.arange(len(points)), count, chooser)
    return {
        "points": _to_world(file, points[rows], frame).astype(np.float16),
        "occupancies": np.packbits(inside[rows]),
    }


def _surface(
    file: Npz, count: int, chooser: np.random.Generator, frame: ModelFrame | None
) -> ObjectArrays:
    points = _positions(file)
    normals = file.read("normals", (len(points), 3), "f").astype(np.float32)
    lengths = np.linalg.norm(normals, axis=1)
    if not np.isfinite(lengths).all():
        raise ValueError(f"{file.label}: its normals are not all finite")
    rows = _choose(file, np.flatnonzero(lengths > MIN_NORMAL), count, chooser)
    # The map into the world mirrors, but keeps lengths and outward normals.
    units = torch.from_numpy(normals[rows] / lengths[rows, None])
    return {
        "pointcloud": _to_world(file, points[rows], frame),
        "pointcloud_normals": world_vertices(units).numpy(),
    }


def _positions(file: Npz) -> NDArray[np.float32]:
    points = file.read("points", (None, 3), "f").astype(np.float32)
    if not np.isfinite(points).all():
        raise ValueError(f"{file.label}: its points are not all finite")
    return points


def _occupancies(file: Npz, count: int) -> NDArray[np.bool_]:
    """Returns one truth value per point, of packed bits or of numbers."""
    stored = file.read("occupancies", (None,), "bufi")
    if len(stored) == count:
        return stored > 0.5
    if stored.dtype != np.uint8 or len(stored) != packed_bytes(count):
        raise ValueError(
            f"{file.label}: {count} points need {count} occupancies or {packed_bytes(count)} bytes"
            f" of packed bits, got {stored.dtype} {stored.shape}"
        )
    return np.unpackbits(stored, count=count).astype(np.bool_)


def _choose(
    file: Npz, rows: NDArray[np.int64], count: int, chooser: np.random.Generator
) -> NDArray[np.int64]:
    """Returns `count` of the rows in ascending order."""
    if len(rows) < count:
        raise ValueError(f"{file.label} has {len(rows)} usable points, {count} are asked for")
    return np.sort(chooser.choice(rows, count, replace=False))


def _to_world(
    file: Npz, points: NDArray[np.float32], frame: ModelFrame | None
) -> NDArray[np.float32]:
    if frame is None:
        return NORMALISED.positions(points)
    own = _frame(file)
    return frame.positions(points.astype(np.float64) * own.scale + own.center)


def _frame(file: Npz) -> ModelFrame:
    x, y, z = (float(value) for value in file.read("loc", (3,)))
    scale = float(file.read("scale", ()))
    try:
        return ModelFrame((x, y, z), scale)
    except ValueError as error:
        raise ValueError(f"{file.label}: {error}") from error
