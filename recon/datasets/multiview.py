"""Many views of each object, read lazily from one HDF5 file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.datasets.categories import find_category
from recon.datasets.hdf5 import TEXT_FIELDS, open_dataset, read_texts
from recon.voxels import unpack_voxels


class MultiViewDataset:
    """The objects of one split of a prepared file, with K views each.

    The file is opened again in each process that reads (after fork as after spawn), and the data
    set can be pickled.

    Attributes:
        ids, names, synsets, groups, splits, licences: lists with one text per object.
        num_views: K.
        image_size: (height, width) in pixels.
        voxel_resolution: R.
    """

    ids: list[str]
    names: list[str]
    synsets: list[str]
    groups: list[str]
    splits: list[str]
    licences: list[str]

    def __init__(
        self,
        path: str | Path,
        split: str | None = None,
        categories: Sequence[str] | None = None,
        cache: bool = False,
    ) -> None:
        """Check the file and read everything but images and voxels.

        Args:
            path: a file made by scripts/prepare_data.py.
            split: 'train', 'val', 'test' or another word of the file; None for all objects.
            categories: names or synsets to keep; None for all.
            cache: whether each process keeps the images in memory once it has read one.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is not valid, or has no object of the split and categories.
        """
        self.path = Path(path)
        self.cache = cache
        with open_dataset(path) as file:
            splits = read_texts(file, "splits")
            wanted = _wanted_synsets(categories)
            kept = [
                index
                for index, synset in enumerate(read_texts(file, "synsets"))
                if split in (None, splits[index]) and (wanted is None or synset in wanted)
            ]
            if not kept:
                raise ValueError(
                    f"{path} has no object of split {split!r} and categories"
                    f" {'all' if categories is None else list(categories)};"
                    f" its splits are {sorted(set(splits))}"
                )
            self._rows = np.array(kept)
            for field in TEXT_FIELDS:
                texts = read_texts(file, field)
                setattr(self, field, [texts[row] for row in kept])
            self._cameras = torch.from_numpy(file["cameras"][:][self._rows])
            self.num_views = int(file["images"].shape[1])
            self.image_size = (int(file["images"].shape[3]), int(file["images"].shape[4]))
            self.voxel_resolution = int(file.attrs["voxel_resolution"])
        present = sorted(set(self.synsets))
        self._members = [
            np.array([k for k, synset in enumerate(self.synsets) if synset == one])
            for one in present
        ]
        self._forget_handle()

    def _forget_handle(self) -> None:
        self._pid = -1
        self._file: h5py.File | None = None
        self._images: _ImageReader | None = None
        self._cached: NDArray[np.uint8] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the handle and the cache behind: another process opens its own."""
        state = dict(self.__dict__)
        return {**state, "_pid": -1, "_file": None, "_images": None, "_cached": None}

    def __len__(self) -> int:
        return len(self._rows)

    def _open(self) -> h5py.File:
        """Return this process's own handle."""
        if self._file is None or self._pid != os.getpid():
            self._file = open_dataset(self.path)
            self._images = _ImageReader(self._file["images"])
            self._pid = os.getpid()
        return self._file

    def images(self, object_index: int, views: Sequence[int]) -> Tensor:
        """Return [n, 4, H, W] uint8 sRGB RGBA (not premultiplied) of some views of an object."""
        out = np.empty((len(views), 4, *self.image_size), np.uint8)
        self._read_images(out, [(object_index, view) for view in views])
        return torch.from_numpy(out)

    def _read_images(self, out: NDArray[np.uint8], wanted: list[tuple[int, int]]) -> None:
        """Fill `out` [n, 4, H, W] with the images at (object, view)."""
        if self.cache:
            images = self._cache()
            for place, (index, view) in enumerate(wanted):
                out[place] = images[index, view]
            return
        self._open()
        assert self._images is not None
        for place, (index, view) in enumerate(wanted):
            self._images.read(out[place], int(self._rows[index]), _checked(view, self.num_views))

    def _cache(self) -> NDArray[np.uint8]:
        if self._cached is None:
            images = self._open()["images"]
            cached = np.empty((len(self), *images.shape[1:]), np.uint8)
            for index, row in enumerate(self._rows):
                images.read_direct(cached, np.s_[row], np.s_[index])
            self._cached = cached
        return self._cached

    def voxels(self, object_index: int) -> Tensor:
        """Return the occupancy of an object, bool [R, R, R] in world axes [x, y, z]."""
        packed = self._open()["voxels"][self._rows[object_index]]
        return unpack_voxels(packed, self.voxel_resolution)

    def cameras(self, object_index: int, views: Sequence[int]) -> Tensor:
        """Return [n, 4] float32 rows (azimuth, elevation, distance, fov)."""
        return self._cameras[object_index][list(views)]

    def sample_batch(
        self, seed: int, step: int, batch_size: int, views_per_object: int = 2
    ) -> dict[str, Tensor]:
        """Draw the batch of a step, a pure function of the arguments.

        A category is drawn uniformly from those present, then one of its objects, then the views,
        which may coincide.

        Args:
            seed: of the whole run, >= 0.
            step: of the optimiser, >= 0.
            batch_size: number of objects N.
            views_per_object: number of views n of each.

        Returns:
            images: [N, n, 4, H, W] uint8, cameras: [N, n, 4] float32.

        Raises:
            ValueError: if an argument is out of range.
        """
        objects, views = self._draw(seed, step, batch_size, views_per_object)
        images = np.empty((batch_size * views_per_object, 4, *self.image_size), np.uint8)
        pairs = zip(objects.repeat(views_per_object).tolist(), views.ravel().tolist(), strict=True)
        self._read_images(images, list(pairs))
        return {
            "images": torch.from_numpy(images).unflatten(0, (batch_size, views_per_object)),
            "cameras": self._cameras[torch.from_numpy(objects)[:, None], torch.from_numpy(views)],
        }

    def _draw(
        self, seed: int, step: int, batch_size: int, views_per_object: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the objects [N] and views [N, n] of a batch."""
        if seed < 0 or step < 0:
            raise ValueError(f"seed and step must be >= 0, got {seed} and {step}")
        if batch_size < 1 or views_per_object < 1:
            raise ValueError(
                "batch_size and views_per_object must be >= 1,"
                f" got {batch_size} and {views_per_object}"
            )
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, step])))
        categories = rng.integers(len(self._members), size=batch_size)
        places = rng.random(batch_size)
        views = rng.integers(self.num_views, size=(batch_size, views_per_object))
        chosen = [self._members[c] for c in categories]
        objects = np.array([m[int(u * len(m))] for m, u in zip(chosen, places, strict=True)])
        return objects, views


class _ImageReader:
    """Reads single images; stored unfiltered, a chunk is the image's bytes as they are."""

    def __init__(self, images: h5py.Dataset) -> None:
        self._images = images
        shape = images.shape
        one_view = images.chunks == (1, 1, *shape[2:])
        self._plain = one_view and images.id.get_create_plist().get_nfilters() == 0

    def read(self, out: NDArray[np.uint8], row: int, view: int) -> None:
        if self._plain:
            _, data = self._images.id.read_direct_chunk((row, view, 0, 0, 0))
            out[...] = np.frombuffer(data, np.uint8).reshape(out.shape)
        else:
            self._images.read_direct(out, np.s_[row, view])


def _checked(view: int, num_views: int) -> int:
    if not 0 <= view < num_views:
        raise IndexError(f"view must be in 0..{num_views - 1}, got {view}")
    return view


def _wanted_synsets(categories: Sequence[str] | None) -> set[str] | None:
    if categories is None:
        return None
    if isinstance(categories, str):
        raise ValueError(f"categories must be a list of names, got the text {categories!r}")
    return {find_category(category).synset for category in categories}
