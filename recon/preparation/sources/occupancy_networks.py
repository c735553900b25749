"""The data of Occupancy Networks (Mescheder et al., arXiv 1812.03828).

FOLDER/{synset}/ has {train,val,test}.lst, and for each model

    {model}/img_choy2016/000.jpg .. 023.jpg   137 x 137, the renderings of 3D-R2N2 on white
    {model}/img_choy2016/cameras.npz          world_mat_i, camera_mat_i
    {model}/points.npz, pointcloud.npz        see `recon.preparation.sources.point_truth`
    {model}/model.binvox                      32^3, the grid of 3D-R2N2

`recon.formats.cameras.dvr` describes the cameras; here the image's borders are at 0 and 137,
and the world is that of the model's own file, which loc and scale of the points tell.

The images have no alpha. Masks are estimated from the white background
(`sources.backgrounds.mask_before_white`), with errors of a pixel or two at borders and more
where an object is white. The source r2n2 has the same renderings with alpha, and takes the points
of this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.arguments import ImageSide, PointCount
from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.formats.cameras.dvr import read_cameras
from recon.formats.images import read_rgba
from recon.formats.stores import FolderStore
from recon.geometry.cameras import as_image_size
from recon.preparation.sources.backgrounds import mask_before_white, straighten
from recon.preparation.sources.interface import ObjectEntry
from recon.preparation.sources.model_folders import Catalogue, files_state, find_models, open_model
from recon.preparation.sources.point_truth import PointTruth
from recon.preparation.sources.rendered_models import RESOLUTION, VIEWS, RenderedModels
from recon.preparation.sources.shapenet_voxels import read_voxels

# Counted up whenever the same files give other arrays.
VERSION = 1
SIDE = 137  # pixels
IMAGES, GRID = "img_choy2016", "model.binvox"
CAMERAS = f"{IMAGES}/cameras.npz"
BORDERS = (0.0, float(SIDE))


class OccupancyNetworksSource:
    """The renderings, points and voxels in FOLDER/synset/model/.

    Args:
        folder: The folder that has a folder per synset.
        categories: The names or synsets of the categories to keep; None keeps all that are there.
        split_file: The file of the splits, as `recon.preparation.sources.splits.read_splits` takes
            it; None takes the lists of the synsets' folders, and without them splits 70/10/20 by a
            hash of the id.
        image_size: (height, width) to which images are brought, an int for square ones; None
            keeps 137.
        aspect: What is done with images of another aspect ratio: "pad" or "crop".
        voxels: Whether to read the grids. The world's cube is then that of the grid, in which the
            longest side of an object is 32/31, else that of the points, in which it is 1.
        num_points: The number of points with occupancies per object.
        num_surface_points: The number of surface points per object.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If an argument is out of range.
    """

    name = "occupancy_networks"

    def __init__(
        self,
        folder: str | Path,
        categories: Sequence[str] | None = None,
        split_file: str | Path | None = None,
        image_size: ImageSide | Sequence[ImageSide] | None = None,
        aspect: str = "pad",
        voxels: bool = True,
        num_points: PointCount = 10_000,
        num_surface_points: PointCount = 10_000,
    ) -> None:
        self._points = PointTruth(folder, num_points, num_surface_points)
        self._folder = str(folder)
        self._categories = categories
        self._split_file = split_file
        size = as_image_size(SIDE if image_size is None else image_size)
        self._stored = RenderedModels(size, aspect, voxels, self._points)

    def config(self) -> dict[str, Any]:
        """Returns the configuration and a hash of all objects."""
        return {**self._own_config(), "objects": self._found.digest()}

    def _own_config(self) -> dict[str, Any]:
        return {
            "source": self.name,
            "version": VERSION,
            "voxels": self._stored.with_voxels,
            **self._stored.config(),
        }

    def objects(self) -> list[ObjectEntry]:
        """Returns the objects by category and id, also those which are listed but not there.

        Raises:
            ValueError, OSError: If a category is not there, a list is malformed, or there are none.
        """
        return list(self._found.entries)

    @cached_property
    def _found(self) -> Catalogue:
        models = find_models(self._folder, self._categories, self._split_file)
        return Catalogue(models, self._state)

    def _state(self, synset: str, model: str) -> Any:
        """Returns plain data which changes when the object's files may have changed."""
        grid = [GRID] if self._stored.with_voxels else []
        return [
            self._own_config(),
            files_state(self._folder, synset, model, [IMAGES, *grid]),
            self._points.state(synset, model),
        ]

    def layout(self) -> Layout:
        """Returns which arrays every object has."""
        return self._stored.layout()

    def arrays(self, entry: ObjectEntry) -> ObjectArrays:
        """Reads the images, cameras, points and voxels of an object.

        Raises:
            ValueError, OSError: If a file is missing, damaged or not as described (the message
                names it), or voxels and images disagree.
        """
        synset, model = self._found.key(entry)
        store = open_model(self._folder, synset, model)
        views = np.stack([_image(store, view) for view in range(VIEWS)])
        own = read_cameras(store, CAMERAS, VIEWS, BORDERS, (SIDE, SIDE))
        voxels = None
        if self._stored.with_voxels:
            frame, voxels = read_voxels(store, GRID, RESOLUTION)
        else:
            frame = self._points.frame(synset, model)
        arrays = self._stored.arrays(store.label, views, frame.cameras(own), voxels)
        return arrays | self._stored.point_arrays(synset, model, frame)


def _image(store: FolderStore, view: int) -> NDArray[np.uint8]:
    """Returns [4, 137, 137] with the estimated mask."""
    rgba = read_rgba(store, f"{IMAGES}/{view:03d}.jpg", (SIDE, SIDE)).rgba
    rgba[3] = mask_before_white(rgba[:3])
    return straighten(rgba, "straight")
