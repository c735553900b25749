"""The renderings of ShapeNet by Kato et al. as npz files, with which SoftRas is trained.

FOLDER/ has for each category and split

    {synset}_{train|val|test}_images.npz   uint8 [N, 24, 4, 64, 64]
    {synset}_{train|val|test}_voxels.npz   bool [N, 32, 32, 32], stored [y, x, -z]

whose first array counts, whatever its name. Where no category has voxels, objects have images
alone. There are no ids. Images are the 24 standard views of `recon.geometry.cameras`, and the axes
of the voxels those of its world.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.datasets.categories import category_of, present_categories
from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.formats.npz import ArrayRows
from recon.geometry.cameras import SHAPENET_VIEWS, shapenet_cameras
from recon.geometry.voxels import pack_voxels
from recon.preparation.sources.backgrounds import COLORS, detect_colors, read_colors, straighten
from recon.preparation.sources.interface import ObjectEntry, fingerprint
from recon.preparation.sources.model_folders import LICENCE

log = logging.getLogger(__name__)

# Counted up whenever the same files give other arrays.
VERSION = 2
RESOLUTION = 32
# The images of one object take 25 MB at this size; the public images are 64 pixels wide.
MAX_SIDE = 512
# The number of objects that are looked at to tell how colours are stored.
LOOKED_AT = 4
SPLITS = ("train", "val", "test")
_NAME = re.compile(r"(\w+)_(train|val|test)_(images|voxels)\.npz")


@dataclass(frozen=True)
class _Pair:
    """The two files of one category and split."""

    synset: str
    split: str
    images: Path
    voxels: Path | None
    count: int = 0
    side: int = 0
    colors: str = "straight"


class NmrSource:
    """Objects read one by one out of compressed files, in one pass where they come in order.

    Each process keeps one pair of files open, where the last object was; memory holds one object.

    Args:
        folder: The folder of the files.
        categories: The names or synsets of the categories to keep; None keeps all that are there.
        colors: How the files store colours: "straight"; "white" or "black", laid over that
            background; "inverted", laid over white and then subtracted from 255, as Kato's script
            does; "auto" tells the first three apart by the first objects of each file, see
            `sources.backgrounds`. The stored colours are straight, and 0 where alpha is 0.

    Raises:
        FileNotFoundError: If `folder` is not a folder.
        ValueError: If `colors` is another word.
    """

    name = "nmr"

    def __init__(
        self,
        folder: str | Path,
        categories: Sequence[str] | None = None,
        colors: str = "auto",
    ) -> None:
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"folder not found: {folder}")
        if colors not in ("auto", *COLORS):
            raise ValueError(f"colors must be auto or one of {COLORS}, got {colors!r}")
        self._folder = Path(folder)
        self._categories = categories
        self._colors = colors
        self._pairs: list[_Pair] | None = None
        self._places: dict[str, tuple[int, int]] = {}  # the pair and row of an id
        self._open: tuple[int, ArrayRows, ArrayRows | None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Open files cannot be pickled.
        return {**self.__dict__, "_open": None}

    def config(self) -> dict[str, Any]:
        """Returns the configuration and a hash of all objects."""
        entries = self.objects()
        return {
            "source": self.name,
            "version": VERSION,
            "colors": self._colors,
            "objects": fingerprint([[i.id, i.fingerprint] for i in entries]),
        }

    def objects(self) -> list[ObjectEntry]:
        """Returns the objects by category, split and row, after a look into every file.

        Raises:
            ValueError, OSError: If a file is missing, damaged or not as described; the message
                names it.
        """
        if self._pairs is None:
            self._pairs = [self._inspect(pair) for pair in self._find_pairs()]
            self._require_one_size(self._pairs)
            if self._colors == "auto":
                read_colors({pair.images.name: pair.colors for pair in self._pairs})
            if self._pairs[0].voxels is None:
                log.info("%s has no voxels: objects are judged by their silhouettes", self._folder)
        entries = []
        for number, pair in enumerate(self._pairs):
            files = [_state(path) for path in (pair.images, pair.voxels) if path is not None]
            for row in range(pair.count):
                entries.append(_entry(pair, row, [VERSION, self._colors, files, row]))
                self._places[entries[-1].id] = (number, row)
        return entries

    def layout(self) -> Layout:
        """Returns which arrays every object has."""
        pairs = self._known_pairs()
        resolutions = () if pairs[0].voxels is None else (RESOLUTION,)
        return Layout((pairs[0].side,) * 2, SHAPENET_VIEWS, resolutions)

    def arrays(self, entry: ObjectEntry) -> ObjectArrays:
        """Reads one object.

        Raises:
            ValueError, OSError: If the file is damaged; the message names it.
        """
        self._known_pairs()
        number, row = self._places[entry.id]
        images, voxels = self._rows(number)
        colors = self._known_pairs()[number].colors
        arrays: ObjectArrays = {
            "images": straighten(images.read(row), colors),
            "cameras": shapenet_cameras(range(SHAPENET_VIEWS)).rows().numpy(),
        }
        if voxels is not None:
            grid = world_voxels(voxels.read(row) != 0)
            arrays[f"voxels_{RESOLUTION}"] = pack_voxels(grid)
        return arrays

    def _known_pairs(self) -> list[_Pair]:
        if self._pairs is None:
            self.objects()
        assert self._pairs is not None
        return self._pairs

    def _rows(self, number: int) -> tuple[ArrayRows, ArrayRows | None]:
        """Returns the open files of a pair, closing those of another."""
        if self._open is not None and self._open[0] != number:
            for rows in self._open[1:]:
                if rows is not None:
                    rows.close()
            self._open = None
        if self._open is None:
            pair = self._known_pairs()[number]
            voxels = None if pair.voxels is None else ArrayRows(pair.voxels)
            self._open = (number, ArrayRows(pair.images), voxels)
        return self._open[1:]

    def _find_pairs(self) -> list[_Pair]:
        """Returns the pairs of files by category and split."""
        found = sorted(filter(None, map(_NAME.fullmatch, os.listdir(self._folder))), key=str)
        parts = {(m[1], m[2], m[3]) for m in found}
        synsets = self._wanted({synset for synset, _, _ in parts})
        with_voxels = any(kind == "voxels" for _, _, kind in parts)
        pairs = [
            _Pair(
                synset,
                split,
                self._path(synset, split, "images"),
                self._path(synset, split, "voxels") if with_voxels else None,
            )
            for synset in synsets
            for split in SPLITS
            if {(synset, split, "images"), (synset, split, "voxels")} & parts
        ]
        if not pairs:
            raise ValueError(f"{self._folder} has no files SYNSET_SPLIT_images.npz")
        return pairs

    def _wanted(self, there: set[str]) -> list[str]:
        ordered = [category.synset for category in present_categories(there)]
        if self._categories is None:
            return ordered
        wanted = {category_of(str(category)).synset for category in self._categories}
        if not wanted or wanted - there:
            raise ValueError(
                f"{self._folder} has no files of {', '.join(sorted(wanted - there)) or 'none'};"
                f" it has those of {', '.join(ordered) or 'none'}"
            )
        return [synset for synset in ordered if synset in wanted]

    def _path(self, synset: str, split: str, kind: str) -> Path:
        path = self._folder / f"{synset}_{split}_{kind}.npz"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; its partner is there")
        if not os.path.realpath(path).startswith(os.path.realpath(self._folder) + os.sep):
            raise ValueError(f"{path} is a link which leads out of {self._folder}")
        return path

    def _inspect(self, pair: _Pair) -> _Pair:
        """Returns the pair with what its files say, which is checked."""
        images = ArrayRows(pair.images)
        voxels = None if pair.voxels is None else ArrayRows(pair.voxels)
        try:
            count, side = _require_shapes(images, voxels)
            colors = self._colors
            if colors == "auto":
                looked_at = [images.read(row) for row in range(min(count, LOOKED_AT))]
                colors = (detect_colors(np.stack(looked_at)) if looked_at else None) or "straight"
            return replace(pair, count=count, side=side, colors=colors)
        finally:
            for rows in (images, voxels):
                if rows is not None:
                    rows.close()

    def _require_one_size(self, pairs: list[_Pair]) -> None:
        first = pairs[0]
        for pair in pairs:
            if pair.side != first.side:
                raise ValueError(
                    f"{pair.images} has images {pair.side} wide, {first.images} {first.side}"
                )
        if not any(pair.count for pair in pairs):
            raise ValueError(f"the files in {self._folder} have no objects")


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _entry(pair: _Pair, row: int, state: Any) -> ObjectEntry:
    id_ = f"{pair.synset}_{pair.split}_{row:05d}"
    return ObjectEntry(
        id=id_,
        name=f"{category_of(pair.synset).name} {row} of {pair.split}",
        synset=pair.synset,
        group=id_,
        split=pair.split,
        licence=LICENCE,
        fingerprint=fingerprint(state),
    )


def _require_shapes(images: ArrayRows, voxels: ArrayRows | None) -> tuple[int, int]:
    """Returns number and side of the images, with whose file that of the voxels agrees."""
    count, side = images.shape[0], images.shape[-1]
    if images.shape[1:] != (SHAPENET_VIEWS, 4, side, side) or not 1 <= side <= MAX_SIDE:
        raise ValueError(
            f"{images.path}: images must be [N, {SHAPENET_VIEWS}, 4, S, S] with S up to"
            f" {MAX_SIDE}, got {images.shape}"
        )
    if images.dtype != np.uint8:
        raise ValueError(f"{images.path}: images must be uint8, got {images.dtype}")
    if voxels is None:
        return count, side
    if voxels.shape[1:] != (RESOLUTION,) * 3 or voxels.dtype not in (np.bool_, np.uint8):
        raise ValueError(
            f"{voxels.path}: voxels must be bool [N, {RESOLUTION}, {RESOLUTION}, {RESOLUTION}],"
            f" got {voxels.dtype} {voxels.shape}"
        )
    if voxels.shape[0] != count:
        raise ValueError(
            f"{images.path} has {count} objects, but {voxels.path.name} has {voxels.shape[0]}"
        )
    return count, side


def world_voxels(stored: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Turns voxels [R, R, R] stored [y, x, -z] into [x, y, z]."""
    return np.ascontiguousarray(stored[:, :, ::-1].transpose(1, 0, 2))
