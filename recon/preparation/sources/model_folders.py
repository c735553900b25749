"""Folders of the public ShapeNet data sets: FOLDER/synset/model/."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon.datasets.categories import category_of
from recon.formats.stores import FolderStore
from recon.preparation.sources.interface import ObjectEntry, fingerprint
from recon.preparation.sources.splits import LIST_PREFIXES, LISTS, assign_splits, read_splits

log = logging.getLogger(__name__)

LICENCE = "ShapeNet terms of use"


@dataclass(frozen=True)
class Model:
    """One object: FOLDER/synset/id."""

    synset: str
    id: str
    split: str

    def entry(self, state: Any) -> ObjectEntry | None:
        """Returns what a source offers of the object; None, with a warning, for an unusable name.

        Args:
            state: The plain data that changes whenever what is read may change.
        """
        try:
            return ObjectEntry(
                id=f"{self.synset}-{self.id}",
                name=f"{category_of(self.synset).name} {self.id}",
                synset=self.synset,
                # A model that stands in two categories is one family.
                group=self.id,
                split=self.split,
                licence=LICENCE,
                fingerprint=fingerprint(state),
            )
        except ValueError as error:
            log.warning("%s/%s: left out: %s", self.synset, self.id, error)
            return None


class Catalogue:
    """The objects of a source, and the synset and id of each.

    Args:
        models: The objects; those whose names are unusable as ids are left out.
        state: The function that makes, of (synset, model), plain data that changes whenever what is
            read may change.

    Attributes:
        entries: The objects that the source offers.

    Raises:
        ValueError: If two objects have the same id.
    """

    def __init__(self, models: Sequence[Model], state: Callable[[str, str], Any]) -> None:
        self._keys: dict[str, tuple[str, str]] = {}
        self.entries: list[ObjectEntry] = []
        for model in models:
            entry = model.entry(state(model.synset, model.id))
            if entry is None:
                continue
            key = (model.synset, model.id)
            if self._keys.setdefault(entry.id, key) != key:
                raise ValueError(f"{'/'.join(key)} and {'/'.join(self._keys[entry.id])} are alike")
            self.entries.append(entry)

    def key(self, entry: ObjectEntry) -> tuple[str, str]:
        """Returns synset and model of an entry."""
        return self._keys[entry.id]

    def digest(self) -> str:
        """Returns a hash that differs whenever the objects differ."""
        return fingerprint([[i.id, i.synset, i.split, i.fingerprint] for i in self.entries])


def find_models(
    folder: str | Path, categories: Sequence[str] | None, split_file: str | Path | None
) -> list[Model]:
    """Returns the objects by synset and id.

    Args:
        folder: The folder that has a folder per synset, with a folder per model.
        categories: The names, synsets or own words of the categories to keep; None keeps all that
            are there.
        split_file: The file of the splits, as `sources.splits.read_splits` takes it. None takes the
            lists in the folders of the synsets where there are any, and then these alone tell which
            models there are; otherwise it splits all folders 70/10/20 by a hash of their names.

    Raises:
        ValueError, OSError: If a category is not there, a list is malformed or there are no models.
    """
    synsets = _wanted_synsets(str(folder), categories)
    listed = [synset for synset in synsets if _has_lists(Path(folder, synset))]
    if split_file is None and listed:
        if len(listed) < len(synsets):
            missing = sorted(set(synsets) - set(listed))
            log.warning("%s: no lists in %s: left out", folder, ", ".join(missing))
        words = sorted(read_splits(folder).words.items())
        models = [Model(*key, split) for key, split in words if key[0] in listed]
        if not models:
            raise ValueError(f"{folder} has no models in the lists of {', '.join(listed)}")
        return models
    keys = [(synset, model) for synset in synsets for model in _subfolders(Path(folder, synset))]
    if not keys:
        raise ValueError(f"{folder} has no models; they belong into {folder}/SYNSET/MODEL/")
    splits = assign_splits(keys, split_file)
    return [
        Model(synset, model, split)
        for (synset, model), split in zip(keys, splits, strict=True)
        if split is not None
    ]


def open_model(folder: str | Path, synset: str, model: str) -> FolderStore:
    """Returns the files of one model.

    Raises:
        FileNotFoundError: If it has no folder.
        ValueError: If its folder lies outside of `folder`.
    """
    path = os.path.join(folder, synset, model)
    root = os.path.realpath(folder)
    if not os.path.realpath(path).startswith(root + os.sep) or {synset, model} & {".", ".."}:
        raise ValueError(f"{path} leads out of {folder}")
    return FolderStore(path)


def files_state(folder: str | Path, synset: str, model: str, names: Sequence[str]) -> Any:
    """Returns sizes and times of some files of a model, as plain data.

    Args:
        folder, synset, model: The arguments of the same names of `open_model`.
        names: The names of files, or of folders whose files are meant.
    """
    state: list[Any] = []
    for name in names:
        path = os.path.join(folder, synset, model, name)
        if os.path.isdir(path):
            with os.scandir(path) as entries:
                found = sorted((entry.name, _stat(entry.path)) for entry in entries)
            state.append([name, found])
        else:
            state.append([name, _stat(path)])
    return state


def _stat(path: str) -> list[int]:
    """Returns size and time of a file; nothing for what is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _wanted_synsets(folder: str, categories: Sequence[str] | None) -> list[str]:
    there = _subfolders(Path(folder))
    if categories is None:
        return there
    wanted = {category_of(str(category)).synset for category in categories}
    if not wanted or wanted - set(there):
        raise ValueError(
            f"{folder} has no category {', '.join(sorted(wanted - set(there))) or 'of none'};"
            f" it has {', '.join(there) or 'none'}"
        )
    return sorted(wanted)


def _has_lists(synset: Path) -> bool:
    return any((synset / f"{p}{word}.lst").is_file() for p in LIST_PREFIXES for word in LISTS)


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
