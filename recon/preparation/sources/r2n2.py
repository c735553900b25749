"""The renderings and voxels of 3D-R2N2 (Choy et al., arXiv 1604.00449).

FOLDER/ has

    ShapeNetRendering/{synset}/{model}/rendering/00.png .. 23.png   137 x 137 RGBA
    ShapeNetRendering/{synset}/{model}/rendering/rendering_metadata.txt
    ShapeNetVox32/{synset}/{model}/model.binvox                     32^3, solid

Each line of the metadata has azimuth, elevation and in-plane rotation in degrees, the distance over
1.75 units of the model, and an angle of view which is not that of the images: these are made with
35 mm on a sensor of 32 mm, 149.84 pixels. The camera orbits the origin of the model's file
(ShapeNetCore v1), not the middle of a normalised model, and at its scale; so the cameras are moved
into the cube of the voxels (`sources.shapenet_voxels`), which leaves all projections as they
are. Images, cameras and voxels then agree in the world. The longest side of an object is 32/31
there, since the public grids have no margin where the evaluation's placement leaves half a voxel.

Without ShapeNetVox32, as in the sample of Pixel2Mesh (Wang et al., arXiv 1804.01654), objects have
images alone and the world is the model's own frame and scale: ShapeNetCore v1 models are centred
and their bounding boxes have a diagonal of 1. FOLDER may then be the folder of synsets itself.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recon.arguments import ImageSide, PointCount
from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.formats.images import read_rgba
from recon.formats.stores import FolderStore
from recon.geometry.cameras import Cameras, as_image_size
from recon.geometry.frames import world_vertices
from recon.preparation.sources.backgrounds import straighten
from recon.preparation.sources.interface import ObjectEntry
from recon.preparation.sources.model_folders import Catalogue, files_state, find_models, open_model
from recon.preparation.sources.model_frame import NORMALISED
from recon.preparation.sources.point_truth import open_points
from recon.preparation.sources.rendered_models import RESOLUTION, VIEWS, RenderedModels
from recon.preparation.sources.shapenet_voxels import read_voxels

log = logging.getLogger(__name__)

WITH_VOXELS = ("auto", "required", "none")
# Counted up whenever the same files give other arrays.
VERSION = 1
SIDE = 137  # pixels
RENDERINGS, VOXELS = "ShapeNetRendering", "ShapeNetVox32"
METADATA, GRID = "rendering/rendering_metadata.txt", "model.binvox"
MAX_DISTANCE = 1.75  # the unit of the distances in the metadata
# The focal length in half image heights: 35 mm over half of a sensor of 32 mm, 149.84 pixels of
# 137.
FOCAL = 35.0 / 16.0
FOV = 2 * math.degrees(math.atan(1 / FOCAL))


class R2N2Source:
    """The renderings in FOLDER/ShapeNetRendering and the voxels in FOLDER/ShapeNetVox32.

    Args:
        folder: The folder that has the folders ShapeNetRendering and, if there are voxels,
            ShapeNetVox32.
        categories: The names or synsets of the categories to keep; None keeps all that are there.
        split_file: The file of the splits, as `sources.splits.read_splits` takes it; None splits
            70/10/20 by a hash of the id.
        image_size: (height, width) to which images are brought, an int for square ones; None
            keeps 137.
        aspect: What is done with images of another aspect ratio: "pad" or "crop".
        points_folder: The folder of Occupancy Networks' data, for points of the same objects.
        num_points: The number of points with occupancies per object, out of `points_folder`.
        num_surface_points: The number of surface points per object, out of `points_folder`.
        voxels: Whether to read voxels: "required"; "none" stores images alone; "auto" reads voxels
            if there is a folder ShapeNetVox32.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If an argument is out of range.
    """

    name = "r2n2"

    def __init__(
        self,
        folder: str | Path,
        categories: Sequence[str] | None = None,
        split_file: str | Path | None = None,
        image_size: ImageSide | Sequence[ImageSide] | None = None,
        aspect: str = "pad",
        points_folder: str | Path | None = None,
        num_points: PointCount = 0,
        num_surface_points: PointCount = 0,
        voxels: str = "auto",
    ) -> None:
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"folder not found: {folder}")
        if voxels not in WITH_VOXELS:
            raise ValueError(f"voxels must be one of {WITH_VOXELS}, got {voxels!r}")
        renderings, self._grids = (os.path.join(folder, name) for name in (RENDERINGS, VOXELS))
        with_voxels = voxels == "required" or (voxels == "auto" and os.path.isdir(self._grids))
        for path in (renderings, self._grids) if with_voxels else ():
            if not os.path.isdir(path):
                raise FileNotFoundError(f"folder not found: {path}")
        if not with_voxels:
            log.info("no voxels: objects in %s are judged by their silhouettes", folder)
        self._renderings = renderings if os.path.isdir(renderings) else str(folder)
        self._categories = categories
        self._split_file = split_file
        size = as_image_size(SIDE if image_size is None else image_size)
        points = open_points(points_folder, num_points, num_surface_points)
        self._stored = RenderedModels(size, aspect, with_voxels, points)

    def config(self) -> dict[str, Any]:
        """Returns the configuration and a hash of all objects."""
        return {**self._own_config(), "objects": self._found.digest()}

    def _own_config(self) -> dict[str, Any]:
        return {
            "source": self.name,
            "version": VERSION,
            **({} if self._stored.with_voxels else {"voxels": "none"}),
            **self._stored.config(),
        }

    def objects(self) -> list[ObjectEntry]:
        """Returns the objects by category and id.

        Raises:
            ValueError, OSError: If a category or the split file is not there, or there are none.
        """
        return list(self._found.entries)

    @cached_property
    def _found(self) -> Catalogue:
        models = find_models(self._renderings, self._categories, self._split_file)
        return Catalogue(models, self._state)

    def _state(self, synset: str, model: str) -> Any:
        """Returns plain data which changes when the object's files may have changed."""
        return [
            self._own_config(),
            files_state(self._renderings, synset, model, ["rendering"]),
            files_state(self._grids, synset, model, [GRID]) if self._stored.with_voxels else [],
            self._stored.points_state(synset, model),
        ]

    def layout(self) -> Layout:
        """Returns which arrays every object has."""
        return self._stored.layout()

    def arrays(self, entry: ObjectEntry) -> ObjectArrays:
        """Reads the images, cameras, voxels and points of an object.

        Raises:
            ValueError, OSError: If a file is missing, damaged or not as described (the message
                names it), or voxels and images disagree.
        """
        synset, model = self._found.key(entry)
        store = open_model(self._renderings, synset, model)
        own = orbit_cameras(read_metadata(store, METADATA))
        views = np.stack([_image(store, f"rendering/{view:02d}.png") for view in range(VIEWS)])
        frame, voxels = NORMALISED, None
        if self._stored.with_voxels:
            frame, voxels = read_voxels(open_model(self._grids, synset, model), GRID, RESOLUTION)
        arrays = self._stored.arrays(store.label, views, frame.cameras(own), voxels)
        return arrays | self._stored.point_arrays(synset, model, frame)


def _image(store: FolderStore, name: str) -> NDArray[np.uint8]:
    image = read_rgba(store, name, (SIDE, SIDE))
    if not image.has_mask:
        raise ValueError(f"{store.label}: image {name} has no transparent pixels, which mask it")
    return straighten(image.rgba, "straight")


def read_metadata(store: FolderStore, name: str) -> NDArray[np.float64]:
    """Reads the metadata of the 24 views as [24, 4]: azimuth, elevation, rotation, distance ratio.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not as the module describes; the message names file and line.
    """
    label = f"{store.label}: {name}"
    lines = store.read(name).decode("ascii", "replace").split("\n")
    rows = [(number, line.split()) for number, line in enumerate(lines, start=1) if line.strip()]
    if len(rows) != VIEWS:
        raise ValueError(f"{label} must have {VIEWS} lines, one per view, got {len(rows)}")
    table = np.array([_numbers(f"{label}, line {number}", words) for number, words in rows])
    wrong = np.flatnonzero(~((table[:, 3] > 0) & (np.abs(table[:, 1]) <= 90)))
    if len(wrong):
        raise ValueError(
            f"{label}, line {rows[wrong[0]][0]}: the elevation must lie in [-90, 90] and the"
            f" distance be > 0, got {table[wrong[0], 1]:g} and {table[wrong[0], 3]:g}"
        )
    return table[:, :4]


def _numbers(place: str, words: list[str]) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != 5 or not np.isfinite(numbers).all():
        raise ValueError(
            f"{place}: azimuth, elevation, in-plane rotation, distance ratio and angle of view"
            f" must be 5 finite numbers, got {' '.join(words)!r}"
        )
    return numbers


def orbit_cameras(metadata: NDArray[np.float64]) -> Cameras:
    """Returns the cameras of a table as `read_metadata` gives it, around the model's own origin.

    The renderer turned an empty object by Euler angles (-rotation, -elevation, -azimuth) about x, y
    and z, with the camera on its x axis, up z, and the model's (x, y, z) at its (x, -z, y): so the
    eye goes round the other way than that of `Cameras.orbit`, and the image is turned clockwise
    by the in-plane rotation, the object in it counterclockwise.

    Returns:
        Float64 cameras of the model's own axes.
    """
    azimuth, elevation, rotation, ratio = torch.from_numpy(metadata).unbind(1)
    orbit = Cameras.orbit(-azimuth, elevation, ratio * MAX_DISTANCE, torch.full_like(ratio, FOV))
    cos, sin = torch.cos(torch.deg2rad(rotation)), torch.sin(torch.deg2rad(rotation))
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    roll = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], 1).reshape(-1, 3, 3)
    rows = roll @ orbit.rotation
    # The orbit is around the world's axes; the turn between the two frames is its own inverse.
    return Cameras(world_vertices(rows), orbit.translation, orbit.focal, orbit.center)
