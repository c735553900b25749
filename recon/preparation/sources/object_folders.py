"""The folders of a user's own objects: FOLDER/category/object/."""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon.datasets.categories import category_of
from recon.formats.cameras.frame import Frame
from recon.formats.cameras.reader import FORMATS, CameraFiles, find_camera_files, read_frames
from recon.formats.stores import FileStore, FolderStore, NamedStore
from recon.preparation.sources.interface import fingerprint

CAMERAS_FILE = "cameras.json"


@dataclass(frozen=True)
class Place:
    """Where the files of one object are: FOLDER/category/name.

    Attributes:
        root: The folder FOLDER of the data.
        category, name: The names of the folders.
        cameras: The object's file of cameras, or that of its category or of FOLDER; None if there
            is none.
    """

    root: Path
    category: str
    name: str
    cameras: Path | None

    @property
    def folder(self) -> Path:
        """The object's folder."""
        return self.root / self.category / self.name

    def __str__(self) -> str:
        return readable(f"{self.category}/{self.name}")

    def camera_files(self, camera_format: str = "auto") -> tuple[NamedStore, CameraFiles]:
        """Returns the object's camera files and the folder they are in.

        They are its own, else a `cameras.json` of its category or of FOLDER.

        Args:
            camera_format: The format of the camera files, see `recon.formats.cameras.reader`.

        Raises:
            ValueError: If there is none or it leads out of FOLDER; the message names the file.
        """
        self._require_inside(self.folder)
        own = FolderStore(self.folder)
        for name in own.refused:
            if posixpath.basename(name) == CAMERAS_FILE:
                self._require_inside(self.folder / name)
        found = find_camera_files(own, camera_format)
        if found is not None:
            return own, found
        if self.cameras is None or camera_format not in ("auto", "json"):
            raise ValueError(
                f"{self} has no {CAMERAS_FILE}, nor has its category or {self.root}; and it has no"
                f" cameras of the formats {', '.join(FORMATS)} (camera_format={camera_format})"
            )
        self._require_inside(self.cameras)
        return FileStore(self.cameras), CameraFiles("json", (CAMERAS_FILE,))

    def _require_inside(self, path: Path) -> None:
        if not os.path.realpath(path).startswith(os.path.realpath(self.root) + os.sep):
            raise ValueError(f"{readable(str(path))} is a link which leads out of {self.root}")

    def frames(self, camera_format: str = "auto") -> list[Frame]:
        """Reads the cameras of the object.

        Raises:
            ValueError: If there is none, it leads out of FOLDER or is malformed; the message names
                the file.
            OSError: If it cannot be read.
        """
        cameras, files = self.camera_files(camera_format)
        return read_frames(cameras, files, FolderStore(self.folder))

    def files_state(self) -> list[Any]:
        """Returns names, sizes and times of change of the object's files, as plain data."""
        state = []
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                state.append([os.path.relpath(path, self.folder), *_size_and_time(path)])
        cameras = [] if self.cameras is None else _size_and_time(self.cameras)
        return [sorted(state), cameras]


def find_places(root: Path, categories_wanted: Sequence[str] | None) -> list[Place]:
    """Returns the objects by category and name.

    Args:
        root: The folder FOLDER of the data.
        categories_wanted: The names, synsets or own words of the categories to keep; None keeps
            all.

    Raises:
        ValueError: If there are no objects, or none of a wanted category.
    """
    categories = _subfolders(root)
    if categories_wanted is not None:
        wanted = {category_of(category).synset for category in categories_wanted}
        there = {category_of(category).synset for category in categories}
        if wanted - there:
            raise ValueError(
                f"{root} has no category {', '.join(sorted(wanted - there))};"
                f" it has {', '.join(sorted(there)) or 'none'}"
            )
        categories = [c for c in categories if category_of(c).synset in wanted]
    places = [
        Place(root, category, name, _find_cameras(root, category, name))
        for category in categories
        for name in _subfolders(root / category)
    ]
    if not places:
        raise ValueError(
            f"{root} has no objects; images belong into {root}/CATEGORY/OBJECT/ beside"
            f" {CAMERAS_FILE}"
        )
    return places


def _subfolders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _find_cameras(root: Path, category: str, name: str) -> Path | None:
    """Returns the nearest file of cameras: of the object, of its category or of all."""
    folders = (root / category / name, root / category, root)
    return next((f / CAMERAS_FILE for f in folders if (f / CAMERAS_FILE).is_file()), None)


def _size_and_time(path: str | Path) -> list[int]:
    try:
        status = os.stat(path)
    except OSError:  # a link to nowhere
        return []
    return [status.st_size, status.st_mtime_ns]


def unique_ids(names: Sequence[tuple[str, str]]) -> list[str]:
    """Returns an id, usable as a file name, for each pair (category, object); they all differ."""
    plain = [f"{category}-{name}" for category, name in names]
    counts = Counter(plain)
    ids = []
    for pair, text in zip(names, plain, strict=True):
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip(".")[:100]
        ids.append(text if safe == text and counts[text] == 1 else f"{safe}-{fingerprint(pair)}")
    return ids


def readable(name: str) -> str:
    """Returns the name of a file as text that can be stored, whatever its bytes are."""
    return name.encode("utf-8", "replace").decode()
