"""The models of ShapeNetCore (Chang et al., arXiv 1512.03012), versions 1 and 2.

FOLDER/ has

    version 1: {synset}/{model}/model.obj, model.mtl and images/
    version 2: {synset}/{model}/models/model_normalized.obj, .mtl and images/ beside models/

Version 1 has its fronts at +X and up at +Y, version 2 has them at -Z and +Y (the notes of the
distributions at shapenet.org, quoted on graviti.cn/open-datasets/ShapeNet). So (x, y, z) of version
1 is (-z, y, x) of version 2, a rotation without mirroring; the same relation is in IM-NET's
point_sampling/2_gather_256vox_16_32_64.py, which turns grids of version 1 into version 2. Placement
and scale differ too (version 2 has the diagonal of the box at 1), but every model is normalised.
Version 2 mended some models, mirrored ones among them: those are not the same in both.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from recon.arguments import PointCount
from recon.datasets.categories import CATEGORIES
from recon.datasets.storage.layout import ObjectArrays
from recon.formats.meshes import read_textured_mesh
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.formats.stores import FolderStore
from recon.preparation.sources.axes import orientation
from recon.preparation.sources.interface import ObjectEntry
from recon.preparation.sources.model_folders import (
    Catalogue,
    Model,
    files_state,
    find_models,
    open_model,
)
from recon.preparation.sources.point_truth import open_points

# Counted up whenever the same files give other surfaces.
VERSION = 2
MESHES = {1: "model.obj", 2: "models/model_normalized.obj"}
AXES = {1: "+x,+y", 2: "-z,+y"}


class ShapeNetCoreSource:
    """The meshes of a copy of ShapeNetCore, of which images are to be made.

    Args:
        folder: The folder that has a folder per synset, with a folder per model.
        version: The version of ShapeNetCore, 1 or 2; None tells it by the files.
        categories: The names or synsets of the categories to keep; None keeps those of the
            thirteen that are there.
        split_file: The file of the splits, as `sources.splits.read_splits` takes it, such as
            ShapeNet's all.csv or a folder of the public lists; None splits 70/10/20 by a hash of
            the id.
        points_folder: The folder of Occupancy Networks' data, for points of the same objects.
        num_points: The number of points with occupancies per object, out of `points_folder`.
        num_surface_points: The number of surface points per object, out of `points_folder`.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If an argument is out of range.
    """

    name = "shapenet_core"

    def __init__(
        self,
        folder: str | Path,
        version: Annotated[int, Ge(1), Le(2)] | None = None,
        categories: Sequence[str] | None = None,
        split_file: str | Path | None = None,
        points_folder: str | Path | None = None,
        num_points: PointCount = 0,
        num_surface_points: PointCount = 0,
    ) -> None:
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"folder not found: {folder}")
        if version is not None and version not in MESHES:
            raise ValueError(f"version must be 1, 2 or null, got {version!r}")
        self._folder = str(folder)
        self._version: int = version or 0  # 0: not yet known
        self._categories, self._split_file = categories, split_file
        self._points = open_points(points_folder, num_points, num_surface_points)

    def config(self) -> dict[str, Any]:
        """Returns the configuration and a hash of all objects."""
        digest = self._found.digest()  # which also tells the version
        return {**self._own_config(), "objects": digest}

    def _own_config(self) -> dict[str, Any]:
        return {
            "source": self.name,
            "version": VERSION,
            "shapenet_version": self._version,
            "points": self._points and self._points.config(),
        }

    def objects(self) -> list[ObjectEntry]:
        """Returns the objects by category and id.

        Raises:
            ValueError, OSError: If a category or the split file is not there, or there are none.
        """
        return list(self._found.entries)

    @cached_property
    def _found(self) -> Catalogue:
        models = find_models(self._folder, self._wanted(), self._split_file)
        self._version = self._version or self._told_version(models)
        return Catalogue(models, self._state)

    def _wanted(self) -> Sequence[str]:
        """Returns the categories to look for."""
        if self._categories is not None:
            return self._categories
        present = [c.synset for c in CATEGORIES if Path(self._folder, c.synset).is_dir()]
        if not present:
            raise ValueError(
                f"{self._folder} has no folder of the thirteen categories, such as"
                f" {CATEGORIES[0].synset}"
            )
        return present

    def _told_version(self, models: Sequence[Model]) -> int:
        """Returns the version whose file the first complete model has."""
        for model in models:
            for version, mesh in MESHES.items():
                if os.path.isfile(os.path.join(self._folder, model.synset, model.id, mesh)):
                    return version
        raise ValueError(
            f"none of the {len(models)} models of {self._folder} has {' or '.join(MESHES.values())}"
        )

    def _state(self, synset: str, model: str) -> Any:
        """Returns plain data which changes when the object's files may have changed."""
        mesh = MESHES[self._version]
        names = [mesh, f"{mesh[:-4]}.mtl", "images"]
        state = files_state(self._folder, synset, model, names)
        return [self._own_config(), state, self._points and self._points.state(synset, model)]

    def load(self, entry: ObjectEntry) -> TexturedMesh:
        """Reads one model: front +X, up +Y, bounding box centred, longest side 1.

        Raises:
            ValueError, OSError: If the file is missing or broken; the message names it.
        """
        synset, model = self._found.key(entry)
        files = _ModelFiles(open_model(self._folder, synset, model))
        try:
            surface = read_textured_mesh(files, MESHES[self._version])
            surface = surface.transformed(orientation(AXES[self._version]), np.zeros(3))
            return surface.cleaned().normalized()
        except ValueError as error:
            raise ValueError(f"{synset}/{model}: {error}") from error

    def truth_sizes(self) -> tuple[int, int]:
        """Returns the numbers of points with occupancies and of points of the surface."""
        points = self._points
        return (points.num_points, points.num_surface_points) if points else (0, 0)

    def truth(self, entry: ObjectEntry) -> ObjectArrays:
        """Returns the points of one object, in the world of its normalised surface.

        Raises:
            ValueError, OSError: If the file is missing or damaged; the message names it.
        """
        return {} if self._points is None else self._points.arrays(*self._found.key(entry))


class _ModelFiles:
    """The files of a model, each also found by the last part of its name.

    Material files may name images by a path of the machine that wrote them.
    """

    def __init__(self, store: FolderStore) -> None:
        self.label = store.label
        self._store = store

    def find(self, name: str) -> str | None:
        return self._store.find(name) or self._store.find_leaf(name.rsplit("/", 1)[-1])

    def find_leaf(self, leaf: str) -> str | None:
        return self._store.find_leaf(leaf)

    def read(self, name: str) -> bytes:
        return self._store.read(name)
