"""A user's own meshes: FOLDER/category/name.obj, or FOLDER/category/name/any.obj.

Folders of splits may stand between, as in ModelNet: FOLDER/category/train/name.off; or before:
FOLDER/train/category/name.off. Then their names are the splits.
"""

from __future__ import annotations

import hashlib
import logging
import os
import posixpath
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recon.datasets.categories import category_of
from recon.formats.images import SUFFIXES as IMAGE_SUFFIXES
from recon.formats.meshes import MESH_FORMATS, read_textured_mesh
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.formats.stores import FolderStore, ZipStore, open_store
from recon.preparation.sources.axes import orientation
from recon.preparation.sources.interface import ObjectEntry, fingerprint
from recon.preparation.sources.splits import assign_splits

log = logging.getLogger(__name__)

# A model's own folder may hold it in several formats; the first of these is read, then the others
# that have a reader.
PREFERRED = (".obj", ".glb", ".gltf", ".ply", ".off", ".stl")
SUFFIXES = PREFERRED + tuple(suffix for suffix in MESH_FORMATS if suffix not in PREFERRED)
# What belongs to meshes, and is no mesh.
COMPANIONS = (".mtl", ".bin", *IMAGE_SUFFIXES, ".tga", ".pcx", ".rgb", ".sgi", ".dds", ".ppm")
# Names of folders that are splits, and which.
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class _Model:
    """A model of the tree.

    Attributes:
        category: The category, which is the name of its folder.
        name: The name of its file without the suffix, or of its own folder.
        files: The mesh files found; more than one is an error of this model.
        folder: The folder of the model if it has one to itself, else ''.
        split: The split whose name a folder above it has, else ''.
    """

    category: str
    name: str
    files: tuple[str, ...]
    folder: str = ""
    split: str = ""

    @property
    def id(self) -> str:
        """The category, the name and a hash of the path: a safe, unique and stable identifier."""
        path = f"{self.folder}/" if self.folder else self.files[0]
        digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        slug = re.sub(r"[^A-Za-z0-9]+", "-", f"{self.category}-{self.name}").strip("-")[:100]
        return f"{slug or 'model'}-{digest}"


class FolderSource:
    """The meshes of a folder or a zip archive, with a folder per category.

    Args:
        folder: The folder that holds category/name.obj (or any other suffix of `MESH_FORMATS`) or
            category/name/any.obj; or a zip archive of that. A category is one of the thirteen, by
            name or synset, or any other word. Folders train, val and test may stand inside or
            outside of the categories' folders.
        categories: The categories to take; None takes all.
        axes: The front and up directions in the files' frame, such as ['-z', '+y'] or '-z,+y'.
        split_file: The file of the splits, as `recon.preparation.sources.splits.read_splits` takes
            it, naming models category/name; None takes the names of folders that are splits, and
            divides the other models 70/10/20 by a hash of the name.
        licence: The licence of the meshes, which is kept with every object.

    Raises:
        FileNotFoundError: If there is no such folder or archive.
        ValueError: If it is no readable archive, or `axes` are not two directions.
    """

    name = "folder"

    def __init__(
        self,
        folder: str | Path,
        categories: Sequence[str] | None = None,
        axes: str | Sequence[str] = ("+x", "+y"),
        split_file: str | Path | None = None,
        licence: str = "unknown",
    ) -> None:
        if not os.path.exists(folder):
            raise FileNotFoundError(f"folder or zip archive not found: {folder}")
        self._folder = str(folder)
        self._store: FolderStore | ZipStore | None = open_store(folder)
        self._axes = axes if isinstance(axes, str) else ",".join(axes)
        self._turn = orientation(self._axes)
        self._split_file, self._licence = split_file, licence
        self._categories = None if categories is None else [str(word) for word in categories]
        self._models: dict[str, _Model] = {}
        self._entries: list[ObjectEntry] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_store": None}  # open archives do not travel to workers

    def config(self) -> dict[str, Any]:
        """Returns the axes, and the fingerprints and labels of all objects."""
        objects = [
            [entry.id, entry.name, entry.synset, entry.split, entry.licence, entry.fingerprint]
            for entry in self.objects()
        ]
        return {"source": self.name, "axes": self._axes, "objects": fingerprint(objects)}

    def objects(self) -> list[ObjectEntry]:
        """Lists the models, by category and name.

        Raises:
            ValueError: If there are none, or a wanted category has none.
        """
        if self._entries is None:
            models = self._wanted(_find_models(self._opened()))
            self._models = {model.id: model for model in models}
            self._entries = self._make_entries(models)
        return list(self._entries)

    def _make_entries(self, models: list[_Model]) -> list[ObjectEntry]:
        """Returns what is offered of the models that belong to a split."""
        store = self._opened()
        shared = _shared_states(store, models)
        keys = [(m.category, m.name, posixpath.basename(m.files[0])) for m in models]
        splits = assign_splits(keys, self._split_file)
        if self._split_file is None:
            splits = [m.split or split for m, split in zip(models, splits, strict=True)]
        return [
            ObjectEntry(
                id=model.id,
                name=_text(model.name),
                synset=category_of(_text(model.category)).synset,
                group=_text("/".join(filter(None, (model.category, model.split, model.name)))),
                split=split,
                licence=self._licence,
                fingerprint=fingerprint([self._axes, _state(store, model), shared[model.folder]]),
            )
            for model, split in zip(models, splits, strict=True)
            if split is not None
        ]

    def _wanted(self, models: list[_Model]) -> list[_Model]:
        """Keeps the models of the chosen categories."""
        if self._categories is None:
            return models
        wanted = {category_of(word) for word in self._categories}
        missing = wanted - {category_of(model.category) for model in models}
        if missing:
            names = ", ".join(sorted(category.name for category in missing))
            raise ValueError(f"{self._folder} has no models of the category {names}")
        return [model for model in models if category_of(model.category) in wanted]

    def load(self, entry: ObjectEntry) -> TexturedMesh:
        """Reads one model: front +X, up +Y, bounding box centred, longest side 1.

        Raises:
            ValueError, OSError: If the file is missing or broken; the message names it.
        """
        model = self._models[entry.id]
        if len(model.files) > 1:
            leaves = ", ".join(posixpath.basename(name) for name in model.files)
            raise ValueError(f"{model.folder} must hold one mesh, it has {leaves}")
        surface = read_textured_mesh(self._opened(), model.files[0])
        try:
            return surface.transformed(self._turn, np.zeros(3)).cleaned().normalized()
        except ValueError as error:
            raise ValueError(f"{model.files[0]}: {error}") from error

    def _opened(self) -> FolderStore | ZipStore:
        if self._store is None:
            self._store = open_store(self._folder)
        return self._store


def _find_models(store: FolderStore | ZipStore) -> list[_Model]:
    """Returns the models of a tree, sorted by path.

    Raises:
        ValueError: If there are none.
    """
    visible = [name for name in store.names if not _is_hidden(name)]
    meshes = [name for name in visible if _suffix(name) in SUFFIXES]
    passed_over = Counter(_suffix(name) or "no suffix" for name in visible if not _is_known(name))
    others = ", ".join(f"{count} {suffix}" for suffix, count in passed_over.most_common())
    if isinstance(store, FolderStore) and store.refused:
        log.warning("links are not followed: %s", _text(", ".join(store.refused[:10])))
    found, stray = _sorted_out(meshes)
    if not found:
        raise ValueError(
            f"{store.label} has no meshes category/name{{{','.join(SUFFIXES)}}} or"
            f" category/name/any of these{'; it has ' + _text(others) if others else ''}"
        )
    if others:
        log.warning("%s: passed over, as no mesh is read from them: %s", store.label, _text(others))
    if stray:
        some = _text(stray[0])
        log.warning("%d meshes lie in no category, such as %s: left out", len(stray), some)
    return found


def _sorted_out(meshes: Sequence[str]) -> tuple[list[_Model], list[str]]:
    """Returns the models that the names of meshes make up, by path, and names that fit nowhere."""
    splits = _split_folders(meshes)
    files: dict[tuple[str, str, str, str], list[str]] = {}
    stray: list[str] = []
    for name in meshes:
        parts = posixpath.splitext(name)[0].split("/")
        split = next((f for f in ("/".join(parts[:2]), parts[0]) if f in splits), "")
        if split:
            parts.pop(split.count("/"))
        word = SPLITS[split.rsplit("/", 1)[-1].lower()] if split else ""
        if len(parts) == 2:
            files[parts[0], parts[1], word, name] = [name]
        elif len(parts) == 3:
            files.setdefault((parts[0], parts[1], word, ""), []).append(name)
        else:
            stray.append(name)
    models = [
        _Model(category, name, (path,), split=split)
        if path
        else _own_folder(category, name, split, names)
        for (category, name, split, path), names in sorted(files.items(), key=_place)
    ]
    return models, stray


def _place(entry: tuple[tuple[str, str, str, str], list[str]]) -> tuple[str, ...]:
    (category, name, split, path), _ = entry
    return category, name, path, split


def _split_folders(meshes: Sequence[str]) -> set[str]:
    """Returns the folders that are splits: `category/train` of ModelNet, or `train` at the top.

    A folder category/test with one mesh may also be a model of that name: it is a split only beside
    another one, or if it holds several meshes. One at the top may also be a category, of railways:
    it is a split only beside another one.
    """
    inside: dict[str, set[str]] = {}
    for name in meshes:
        parts = posixpath.splitext(name)[0].split("/")
        for depth in (0, 1):
            # A split at the top holds categories, one in a category holds models.
            if len(parts) >= 3 and parts[depth].lower() in SPLITS:
                folder = "/".join(parts[: depth + 1])
                inside.setdefault(folder, set()).add("/".join(parts[depth + 1 :]))
    return {
        folder
        for folder, names in inside.items()
        if (len(names) > 1 and "/" in folder)
        or sum(posixpath.dirname(other) == posixpath.dirname(folder) for other in inside) > 1
    }


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _is_known(name: str) -> bool:
    return _suffix(name) in SUFFIXES or _suffix(name) in COMPANIONS


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


def _own_folder(category: str, name: str, split: str, files: list[str]) -> _Model:
    """Returns the model of a folder to itself: its files of the best suffix that is there."""
    ranks = [SUFFIXES.index(_suffix(file)) for file in files]
    best = tuple(file for file, rank in zip(files, ranks, strict=True) if rank == min(ranks))
    return _Model(category, name, best, folder=posixpath.dirname(files[0]), split=split)


def _state(store: FolderStore | ZipStore, model: _Model) -> list[Any]:
    return [[_text(name), store.state(name)] for name in model.files]


def _shared_states(store: FolderStore | ZipStore, models: Sequence[_Model]) -> dict[str, str]:
    """Returns a fingerprint of the materials and textures of models, by their own folder.

    Those of models without one ('') are all files that lie in no model's folder.
    """
    states: dict[str, list[Any]] = {"": [], **{model.folder: [] for model in models}}
    meshes = {name for model in models for name in model.files}
    for name in store.names:
        if name not in meshes:
            parts = name.split("/")
            above = ("/".join(parts[:depth]) for depth in (2, 3))
            own = next((folder for folder in above if folder in states), "")
            states[own].append([_text(name), store.state(name)])
    return {folder: fingerprint(state) for folder, state in states.items()}


def _text(name: str) -> str:
    """Returns the name of a file as text that can be stored, whatever its bytes are."""
    return name.encode("utf-8", "replace").decode()
