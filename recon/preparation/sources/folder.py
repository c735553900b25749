"""A user's own meshes: FOLDER/category/name.obj, or FOLDER/category/name/any.obj."""

from __future__ import annotations

import hashlib
import logging
import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recon.datasets.categories import category_of
from recon.formats.meshes import read_surface
from recon.formats.meshes.reading.surfaces import Surface
from recon.formats.stores import FolderStore, ZipStore, open_store
from recon.preparation.sources.axes import orientation
from recon.preparation.sources.interface import Item, fingerprint
from recon.preparation.sources.splits import assign_splits

log = logging.getLogger(__name__)

# A model's own folder may hold it in several formats; the first of these is read.
SUFFIXES = (".obj", ".glb", ".gltf", ".ply", ".off", ".stl")


@dataclass(frozen=True)
class _Model:
    """A model of the tree.

    Attributes:
        category: the name of its folder.
        name: its file's name without the suffix, or the name of its own folder.
        files: what it is made of; more than one is an error of this model.
        folder: where it has a folder to itself, else ''.
    """

    category: str
    name: str
    files: tuple[str, ...]
    folder: str = ""

    @property
    def id(self) -> str:
        """Category, name and a hash of the path: safe, unique, and the same in any company."""
        path = f"{self.folder}/" if self.folder else self.files[0]
        digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        slug = re.sub(r"[^A-Za-z0-9]+", "-", f"{self.category}-{self.name}").strip("-")[:100]
        return f"{slug or 'model'}-{digest}"


class FolderSource:
    """The meshes of a folder or a zip archive, with a folder per category."""

    name = "folder"

    def __init__(
        self,
        folder: str | Path,
        categories: Sequence[str] | None = None,
        axes: str | Sequence[str] = ("+x", "+y"),
        split_file: str | Path | None = None,
        licence: str = "unknown",
    ) -> None:
        """Settings.

        Args:
            folder: holds category/name.obj (.ply, .stl, .glb, .gltf, .off) or
                category/name/any.obj; or a zip archive of that. A category is one of the thirteen,
                by name or synset, or any other word.
            categories: which to take; None for all.
            axes: front and up in the files' frame, such as ['-z', '+y'] or '-z,+y'.
            split_file: as `recon.preparation.sources.splits.read_splits` takes it, naming models
                category/name; None splits them 70/10/20 by a hash of the name.
            licence: of the meshes, kept with every object.

        Raises:
            FileNotFoundError: if there is no such folder or archive.
            ValueError: if it is no readable archive, or `axes` are not two directions.
        """
        if not os.path.exists(folder):
            raise FileNotFoundError(f"folder or zip archive not found: {folder}")
        self._folder = str(folder)
        self._store: FolderStore | ZipStore | None = open_store(folder)
        self._axes = axes if isinstance(axes, str) else ",".join(axes)
        self._turn = orientation(self._axes)
        self._split_file, self._licence = split_file, licence
        self._categories = None if categories is None else [str(word) for word in categories]
        self._models: dict[str, _Model] = {}
        self._items: list[Item] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_store": None}  # open archives do not travel to workers

    def recipe(self) -> dict[str, Any]:
        """Return the axes, and the fingerprints and labels of all objects."""
        objects = [
            [item.id, item.name, item.synset, item.split, item.licence, item.fingerprint]
            for item in self.objects()
        ]
        return {"source": self.name, "axes": self._axes, "objects": fingerprint(objects)}

    def objects(self) -> list[Item]:
        """List the models, by category and name.

        Raises:
            ValueError: if there are none, or a wanted category has none.
        """
        if self._items is None:
            models = self._wanted(_find_models(self._opened()))
            self._models = {model.id: model for model in models}
            self._items = self._make_items(models)
        return list(self._items)

    def _make_items(self, models: list[_Model]) -> list[Item]:
        """Return what is offered of the models that belong to a split."""
        store = self._opened()
        shared = _shared_states(store, models)
        keys = [(m.category, m.name, posixpath.basename(m.files[0])) for m in models]
        splits = assign_splits(keys, self._split_file)
        return [
            Item(
                id=model.id,
                name=_text(model.name),
                synset=category_of(_text(model.category)).synset,
                group=_text(f"{model.category}/{model.name}"),
                split=split,
                licence=self._licence,
                fingerprint=fingerprint([self._axes, _state(store, model), shared[model.folder]]),
            )
            for model, split in zip(models, splits, strict=True)
            if split is not None
        ]

    def _wanted(self, models: list[_Model]) -> list[_Model]:
        """Keep the models of the chosen categories."""
        if self._categories is None:
            return models
        wanted = {category_of(word) for word in self._categories}
        missing = wanted - {category_of(model.category) for model in models}
        if missing:
            names = ", ".join(sorted(category.name for category in missing))
            raise ValueError(f"{self._folder} has no models of the category {names}")
        return [model for model in models if category_of(model.category) in wanted]

    def load(self, item: Item) -> Surface:
        """Read one model: front +X, up +Y, bounding box centred, longest side 1.

        Raises:
            ValueError, OSError: naming the file, if it is missing or broken.
        """
        model = self._models[item.id]
        if len(model.files) > 1:
            leaves = ", ".join(posixpath.basename(name) for name in model.files)
            raise ValueError(f"{model.folder} must hold one mesh, it has {leaves}")
        surface = read_surface(self._opened(), model.files[0])
        try:
            return surface.transformed(self._turn, np.zeros(3)).cleaned().normalized()
        except ValueError as error:
            raise ValueError(f"{model.files[0]}: {error}") from error

    def _opened(self) -> FolderStore | ZipStore:
        if self._store is None:
            self._store = open_store(self._folder)
        return self._store


def _find_models(store: FolderStore | ZipStore) -> list[_Model]:
    """Return the models of a tree, sorted by path.

    Raises:
        ValueError: if there are none.
    """
    files: dict[tuple[str, str, str], list[str]] = {}
    stray: list[str] = []
    for name in store.names:
        stem, suffix = posixpath.splitext(name)
        parts = stem.split("/")
        if suffix.lower() not in SUFFIXES or any(part.startswith(".") for part in parts):
            continue
        if len(parts) == 2:
            files[parts[0], parts[1], name] = [name]
        elif len(parts) == 3:
            files.setdefault((parts[0], parts[1], ""), []).append(name)
        else:
            stray.append(name)
    if isinstance(store, FolderStore) and store.refused:
        log.warning("links are not followed: %s", _text(", ".join(store.refused[:10])))
    if stray:
        some = _text(stray[0])
        log.warning("%d meshes lie in no category, such as %s: left out", len(stray), some)
    if not files:
        raise ValueError(
            f"{store.label} has no meshes category/name{{{','.join(SUFFIXES)}}} or"
            " category/name/any of these"
        )
    return [
        _Model(category, name, (path,)) if path else _own_folder(category, name, names)
        for (category, name, path), names in sorted(files.items())
    ]


def _own_folder(category: str, name: str, files: list[str]) -> _Model:
    """Return the model of a folder to itself: its files of the best suffix that is there."""
    ranks = [SUFFIXES.index(posixpath.splitext(file)[1].lower()) for file in files]
    best = tuple(file for file, rank in zip(files, ranks, strict=True) if rank == min(ranks))
    return _Model(category, name, best, folder=f"{category}/{name}")


def _state(store: FolderStore | ZipStore, model: _Model) -> list[Any]:
    return [[_text(name), store.state(name)] for name in model.files]


def _shared_states(store: FolderStore | ZipStore, models: Sequence[_Model]) -> dict[str, str]:
    """Return a fingerprint of the materials and textures of models, by their own folder.

    Those of models without one ('') are all files that lie in no model's folder.
    """
    states: dict[str, list[Any]] = {"": [], **{model.folder: [] for model in models}}
    meshes = {name for model in models for name in model.files}
    for name in store.names:
        own = "/".join(name.split("/")[:2])
        if name not in meshes:
            states[own if own in states else ""].append([_text(name), store.state(name)])
    return {folder: fingerprint(state) for folder, state in states.items()}


def _text(name: str) -> str:
    """Return the name of a file as text that can be stored, whatever its bytes are."""
    return name.encode("utf-8", "replace").decode()
