"""The renderings of Kato et al. as folders, as DVR distributes them ("NMR_Dataset").

FOLDER/{synset}/ has softras_{train,val,test}.lst, and for each model

    {model}/image/0000.png .. 0023.png   64 x 64, on white
    {model}/mask/0000.png .. 0023.png    brighter where the object is
    {model}/cameras.npz                  world_mat_i, camera_mat_i

`recon.formats.cameras.dvr` describes the cameras; here the image's borders are at -1 and 1.
Their world is the ShapeNetCore v1 frame with the model's bounding box centred and its longest side
1. In public files world_mat_0 has the rows (0, 0, -1, 0), (0.5, -0.866, 0, 0) and
(-0.866, -0.5, 0, 2.732): an eye in front (+X) and above, with -Z on the right. So these are the
standard cameras of `recon.geometry.cameras`; but they are read and not assumed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.arguments import ImageSide, PointCount
from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.formats.cameras.dvr import read_cameras
from recon.formats.images import read_mask, read_rgba
from recon.formats.stores import FolderStore
from recon.geometry.cameras import as_image_size
from recon.preparation.sources.backgrounds import (
    COLORS,
    detect_colors,
    read_colors,
    straighten,
)
from recon.preparation.sources.interface import ObjectEntry
from recon.preparation.sources.model_folders import Catalogue, files_state, find_models, open_model
from recon.preparation.sources.model_frame import NORMALISED, ModelFrame
from recon.preparation.sources.point_truth import open_points
from recon.preparation.sources.rendered_models import RESOLUTION, VIEWS, RenderedModels
from recon.preparation.sources.shapenet_voxels import read_voxels

# Counted up whenever the same files give other arrays.
VERSION = 2
CAMERAS, GRID = "cameras.npz", "model.binvox"
BORDERS = (-1.0, 1.0)
# This many objects, with as many views each, tell how colours are stored, of at most so many tried.
LOOKED_AT, MOST_LOOKED_AT = 4, 20


class NmrFoldersSource:
    """The renderings in FOLDER/synset/model/.

    Args:
        folder: The folder that has a folder per synset.
        categories: The names or synsets of the categories to keep; None keeps all that are there.
        split_file: The file of the splits, as `recon.preparation.sources.splits.read_splits` takes
            it; None takes the lists of the synsets' folders, and without them splits 70/10/20 by a
            hash of the id.
        image_size: (height, width) to which images are brought, an int for square ones.
        aspect: What is done with images of another aspect ratio: "pad" or "crop".
        voxels: Whether to read {model}/model.binvox, a grid as 3D-R2N2 has them. The world is then
            scaled by 32/31, so that the voxels lie in it as the evaluation places them.
        points_folder: The folder of Occupancy Networks' data, for points of the same objects. It
            may be `folder` itself, whose models have a pointcloud.npz.
        num_points: The number of points with occupancies per object, out of `points_folder`.
        num_surface_points: The number of surface points per object, out of `points_folder`.
        colors: How the images store colours: "straight", "white", "black" or "inverted", see
            `sources.backgrounds`; "auto" looks at the first objects, and all are taken alike.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If an argument is out of range.
    """

    name = "nmr_folders"

    def __init__(
        self,
        folder: str | Path,
        categories: Sequence[str] | None = None,
        split_file: str | Path | None = None,
        image_size: ImageSide | Sequence[ImageSide] = 64,
        aspect: str = "pad",
        voxels: bool = False,
        points_folder: str | Path | None = None,
        num_points: PointCount = 0,
        num_surface_points: PointCount = 0,
        colors: str = "auto",
    ) -> None:
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"folder not found: {folder}")
        if colors not in ("auto", *COLORS):
            raise ValueError(f"colors must be auto or one of {COLORS}, got {colors!r}")
        self._colors = colors
        self._decided = ""  # the colours of all images; "" means not yet known
        self._folder = str(folder)
        self._categories = categories
        self._split_file = split_file
        points = open_points(points_folder, num_points, num_surface_points)
        self._stored = RenderedModels(as_image_size(image_size), aspect, voxels, points)

    def config(self) -> dict[str, Any]:
        """Returns the configuration and a hash of all objects."""
        return {**self._own_config(), "objects": self._found.digest()}

    def _own_config(self) -> dict[str, Any]:
        return {
            "source": self.name,
            "version": VERSION,
            "voxels": self._stored.with_voxels,
            "colors": self._colors,
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
        catalogue = Catalogue(models, self._state)
        self._decided = self._decide_colors(catalogue)
        return catalogue

    def _decide_colors(self, catalogue: Catalogue) -> str:
        """Returns how the images store colours: as in most of the first objects that show it."""
        if self._colors != "auto":
            return self._colors
        found: dict[str, str] = {}
        for entry in catalogue.entries[:MOST_LOOKED_AT]:
            synset, model = catalogue.key(entry)
            try:
                images = read_masked_images(open_model(self._folder, synset, model), LOOKED_AT)
            except (ValueError, OSError):
                continue  # a broken object is reported when it is read
            if (colors := detect_colors(images)) is not None:
                found[f"{synset}/{model}"] = colors
            if len(found) == LOOKED_AT:
                break
        decided = Counter(found.values()).most_common(1)[0][0] if found else "straight"
        read_colors(dict.fromkeys(found, decided) or {"all objects": decided})
        return decided

    def _state(self, synset: str, model: str) -> Any:
        """Returns plain data which changes when the object's files may have changed."""
        grid = [GRID] if self._stored.with_voxels else []
        return [
            self._own_config(),
            files_state(self._folder, synset, model, ["image", "mask", CAMERAS, *grid]),
            self._stored.points_state(synset, model),
        ]

    def layout(self) -> Layout:
        """Returns which arrays every object has."""
        return self._stored.layout()

    def arrays(self, entry: ObjectEntry) -> ObjectArrays:
        """Reads the images, cameras, and what else was asked for of an object.

        Raises:
            ValueError, OSError: If a file is missing, damaged or not as described (the message
                names it), or voxels and images disagree.
        """
        synset, model = self._found.key(entry)
        store = open_model(self._folder, synset, model)
        views = straighten(read_masked_images(store, VIEWS), self._decided)
        own = read_cameras(store, CAMERAS, VIEWS, BORDERS, views.shape[2:])
        frame, voxels = NORMALISED, None
        if self._stored.with_voxels:
            _, voxels = read_voxels(store, GRID, RESOLUTION)
            frame = ModelFrame((0.0, 0.0, 0.0), (RESOLUTION - 1) / RESOLUTION)
        arrays = self._stored.arrays(store.label, views, frame.cameras(own), voxels)
        if (points := self._stored.points) is not None:
            file = points.frame(synset, model)
            cube = ModelFrame(file.center, file.scale * frame.scale)
            arrays |= points.arrays(synset, model, cube)
        return arrays


def read_masked_images(store: FolderStore, views: int) -> NDArray[np.uint8]:
    """Reads images with their masks as RGBA [K, 4, H, W], all of one square size.

    Raises:
        FileNotFoundError: If an image or mask is missing; the message names it.
        ValueError: If an image or mask is damaged or of another size; the message names it.
    """
    first = read_rgba(store, f"image/{0:04d}.png").rgba
    height, width = first.shape[1:]
    if height != width:
        raise ValueError(f"{store.label}: images must be square, got {width} x {height} pixels")
    images = np.empty((views, 4, height, width), np.uint8)
    for view in range(views):
        name = f"{view:04d}.png"
        image = read_rgba(store, f"image/{name}", (height, width))
        images[view] = image.rgba
        images[view, 3] = read_mask(store, f"mask/{name}", image)
    return images
