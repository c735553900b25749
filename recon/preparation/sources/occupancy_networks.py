"""The data of Occupancy Networks (Mescheder et al., arXiv 1812.03828).

FOLDER/{synset}/ has {train,val,test}.lst, and for each model

    {model}/img_choy2016/000.jpg .. 023.jpg   137 x 137, the renderings of 3D-R2N2 on white
    {model}/img_choy2016/cameras.npz          world_mat_i, camera_mat_i
    {model}/points.npz, pointcloud.npz        see `recon.preparation.sources.point_truth`
    {model}/model.binvox                      32^3, the grid of 3D-R2N2

`recon.formats.cameras.dvr` describes the cameras; here the image's borders are at 0 and 137,
and the world is that of the model's own file, which loc and scale of the points tell.

The images have no alpha. Masks are estimated from the white background
(`sources.backgrounds.mask_before_white`), with errors of a pixel or two at outlines and more
where an object is white. The source r2n2 has the same renderings with alpha, and takes the points
of this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.formats.cameras.dvr import read_cameras
from recon.formats.images import read_rgba
from recon.formats.resampling import ASPECTS, fit_views
from recon.formats.stores import FolderStore
from recon.geometry.cameras import as_image_size
from recon.geometry.voxels import pack_voxels
from recon.preparation.sources.backgrounds import mask_before_white, straighten
from recon.preparation.sources.interface import ObjectEntry
from recon.preparation.sources.model_folders import Catalogue, files_state, find_models, open_model
from recon.preparation.sources.point_truth import PointTruth
from recon.preparation.sources.shapenet_voxels import read_voxels, require_agreement

# Counted up whenever the same files give other samples.
VERSION = 1
VIEWS = 24
SIDE = 137  # pixels
RESOLUTION = 32
IMAGES, GRID = "img_choy2016", "model.binvox"
CAMERAS = f"{IMAGES}/cameras.npz"
BORDERS = (0.0, float(SIDE))


class OccupancyNetworksSource:
    """Objects in FOLDER/synset/model/."""

    name = "occupancy_networks"

    def __init__(
        self,
        folder: str | Path,
        categories: Sequence[str] | None = None,
        split_file: str | Path | None = None,
        image_size: int | Sequence[int] | None = None,
        aspect: str = "pad",
        voxels: bool = True,
        num_points: int = 10_000,
        num_surface_points: int = 10_000,
    ) -> None:
        """Settings.

        Args:
            folder: With a folder per synset.
            categories: Names or synsets to keep; None for all that are there.
            split_file: See `recon.preparation.sources.splits.read_splits`; None takes the lists of
                the synsets' folders, and without them splits 70/10/20 by a hash of the id.
            image_size: (height, width) to which images are brought, an int for square ones; None
                keeps 137.
            aspect: What is done where the aspect is another: "pad" or "crop".
            voxels: Whether to read the grids. The world's cube is then that of the grid, in which
                the longest side of an object is 32/31, else that of the points, in which it is 1.
            num_points: Points with occupancies per object.
            num_surface_points: Points of the surface per object.

        Raises:
            FileNotFoundError: If there is no such folder.
            ValueError: If a setting is out of range.
        """
        if aspect not in ASPECTS:
            raise ValueError(f"aspect must be one of {ASPECTS}, got {aspect!r}")
        self._points = PointTruth(folder, num_points, num_surface_points)
        self._folder = str(folder)
        self._categories = categories
        self._split_file = split_file
        self._image_size = as_image_size(SIDE if image_size is None else image_size)
        self._aspect = aspect
        self._with_voxels = voxels
        self._catalogue: Catalogue | None = None

    def config(self) -> dict[str, Any]:
        """Returns the configuration and a hash of all objects."""
        return {**self._own_config(), "objects": self._found().digest()}

    def _own_config(self) -> dict[str, Any]:
        return {
            "source": self.name,
            "version": VERSION,
            "image_size": list(self._image_size),
            "aspect": self._aspect,
            "voxels": self._with_voxels,
            "points": self._points.config(),
        }

    def objects(self) -> list[ObjectEntry]:
        """Returns the objects by category and id, also those which are listed but not there.

        Raises:
            ValueError, OSError: If a category is not there, a list is malformed, or there are none.
        """
        return list(self._found().entries)

    def _found(self) -> Catalogue:
        if self._catalogue is None:
            models = find_models(self._folder, self._categories, self._split_file)
            self._catalogue = Catalogue(models, self._state)
        return self._catalogue

    def _state(self, synset: str, model: str) -> Any:
        """Returns plain data which changes when the object's files may have changed."""
        grid = [GRID] if self._with_voxels else []
        return [
            self._own_config(),
            files_state(self._folder, synset, model, [IMAGES, *grid]),
            self._points.state(synset, model),
        ]

    def layout(self) -> Layout:
        """Returns which arrays every object has."""
        return Layout(
            self._image_size,
            VIEWS,
            (RESOLUTION,) if self._with_voxels else (),
            num_points=self._points.num_points,
            num_surface_points=self._points.num_surface_points,
        )

    def arrays(self, entry: ObjectEntry) -> ObjectArrays:
        """Reads the images, cameras, points and voxels of an object.

        Raises:
            ValueError, OSError: Naming the file, if one is missing, damaged or not as described, or
                voxels and images disagree.
        """
        synset, model = self._found().key(entry)
        store = open_model(self._folder, synset, model)
        views = np.stack([_image(store, view) for view in range(VIEWS)])
        own = read_cameras(store, CAMERAS, VIEWS, BORDERS, (SIDE, SIDE))
        arrays: ObjectArrays = {}
        if self._with_voxels:
            frame, voxels = read_voxels(store, GRID, RESOLUTION)
            require_agreement(store.label, voxels, frame.cameras(own), views[:, 3])
            arrays[f"voxels_{RESOLUTION}"] = pack_voxels(voxels)
        else:
            frame = self._points.frame(synset, model)
        images, cameras = fit_views(views, frame.cameras(own), self._image_size, self._aspect)
        arrays |= {"images": images, "cameras": cameras.rows().float().numpy()}
        return arrays | self._points.arrays(synset, model, frame)


def _image(store: FolderStore, view: int) -> NDArray[np.uint8]:
    """Returns [4, 137, 137] with the estimated mask."""
    rgba = read_rgba(store, f"{IMAGES}/{view:03d}.jpg", (SIDE, SIDE)).rgba
    rgba[3] = mask_before_white(rgba[:3])
    return straighten(rgba, "straight")
