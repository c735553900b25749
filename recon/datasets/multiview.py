"""Many views of each object, read lazily from HDF5 files."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.datasets.categories import CATEGORIES, category_of
from recon.datasets.licences import select_licences
from recon.datasets.mixture import MixtureFile, read_mixture
from recon.datasets.sampling import Sampling, StepSampler
from recon.datasets.storage.hdf5 import TEXT_FIELDS, open_dataset, read_json
from recon.datasets.storage.layout import MAPS, PER_VIEW, voxel_resolutions
from recon.datasets.storage.shards import Paths, Shard, all_cameras, find_files, open_shards
from recon.geometry.voxels import unpack_voxels


class MultiViewDataset:
    """The objects of one split of prepared files, with K views each.

    Each process that reads has its own handles of the files (after fork as after spawn), and the
    data set can be pickled.

    Args:
        path: The file made by scripts/prepare_data.py, a list of such files, or a pattern such as
            'data/nmr_*.h5'; several are one data set when their layouts are the same.
        split: The split: 'train', 'val', 'test' or another word of the files; None takes all
            objects.
        categories: The names, synsets or own words of the categories to keep; None keeps all.
        cache: Whether each process keeps the images in memory once it has read one.
        sampling: What batches are drawn evenly from: 'balanced' means categories, 'uniform'
            objects.
        licences: The licences of the objects to keep, such as ['CC0', 'CC-BY-3.0'], see
            `recon.datasets.licences.has_licence`; None for all.
        mixture: The files with weights for the batches, by a name for each, see
            `recon.datasets.mixture.MixtureFile`; an entry without a path is `path`, which is read
            only where such an entry is. None is `path` alone.

    Attributes:
        paths: The paths of the files.
        layout: The arrays that every object has.
        fields: The names of these arrays.
        ids, names, synsets, groups, splits, licences: Lists with one text per object.
        num_views: The number K of views of every object.
        image_size: (height, width) in pixels.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file is not valid, the files do not fit together or have no object of the
            split, categories and licences, the mixture is bad, or the sampling is unknown.
    """

    ids: list[str]
    names: list[str]
    synsets: list[str]
    groups: list[str]
    splits: list[str]
    licences: list[str]

    def __init__(
        self,
        path: Paths,
        split: str | None = None,
        categories: Sequence[str] | None = None,
        cache: bool = False,
        sampling: Sampling = "balanced",
        licences: Sequence[str] | None = None,
        mixture: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.cache = cache
        self._mixture = [MixtureFile(path)] if mixture is None else read_mixture(mixture, path)
        files = [find_files(entry.path or path) for entry in self._mixture]
        shards = open_shards([file for found in files for file in found])
        self._entries = np.repeat(np.arange(len(files)), [len(found) for found in files])
        self.paths = [shard.path for shard in shards]
        self.layout = shards[0].layout
        self._layout_fields = self.layout.fields()
        self.fields = tuple(self._layout_fields)
        self.num_views, self.image_size = self.layout.num_views, self.layout.image_size
        self._readers = [shard.reader for shard in shards]
        self._cameras = all_cameras(shards)
        self._keep(shards, split, categories, licences)
        self._sampling = sampling
        self._sampler = self._make_sampler()
        self._cached: NDArray[np.uint8] | None = None

    def _make_sampler(self) -> StepSampler:
        entries = self._entries[self._shards]
        return StepSampler(self.synsets, self.num_views, self._sampling, self._mixture, entries)

    def _keep(
        self,
        shards: Sequence[Shard],
        split: str | None,
        categories: Sequence[str] | None,
        licences: Sequence[str] | None,
    ) -> None:
        """Notes the objects that are wanted: their files, rows, texts and cameras."""
        texts = {field: [t for s in shards for t in s.texts[field]] for field in TEXT_FIELDS}
        wanted = self._wanted_synsets(categories, set(texts["synsets"]))
        kept = [
            index
            for index, synset in enumerate(texts["synsets"])
            if split in (None, texts["splits"][index]) and (wanted is None or synset in wanted)
        ]
        if kept and licences is not None:
            held = select_licences([texts["licences"][i] for i in kept], licences, self._named())
            kept = [index for index, allowed in zip(kept, held, strict=True) if allowed]
        if not kept:
            raise ValueError(
                f"{self._named()} has no object of split {split!r} and categories"
                f" {'all' if categories is None else list(categories)};"
                f" its splits are {sorted(set(texts['splits']))}"
            )
        for field in TEXT_FIELDS:
            setattr(self, field, [texts[field][index] for index in kept])
        self._shards = np.concatenate([np.full(len(s), k) for k, s in enumerate(shards)])[kept]
        self._rows = np.concatenate([np.arange(len(shard)) for shard in shards])[kept]
        for index, entry in enumerate(self._mixture):
            if index not in self._entries[self._shards]:
                raise ValueError(f"mixture: {entry.path} has no object that is to be read")
        # Cameras that all objects share are stored once.
        shared = len(self._cameras) == 1
        self._camera_rows = np.zeros(len(kept), np.int64) if shared else np.array(kept)

    def _wanted_synsets(
        self, categories: Sequence[str] | None, present: Collection[str]
    ) -> set[str] | None:
        if categories is None:
            return None
        if isinstance(categories, str):
            raise ValueError(f"categories must be a list of names, got the text {categories!r}")
        wanted = {category_of(category) for category in categories}
        for category in wanted.difference(CATEGORIES):
            if category.synset not in present:
                there = ", ".join(sorted(category_of(synset).name for synset in present))
                raise ValueError(f"unknown category {category.name!r}; {self._named()} has {there}")
        return {category.synset for category in wanted}

    def _named(self) -> str:
        """Returns what to call the files in a message."""
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return f"{self.paths[0]}{more}"

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the cache behind, as the readers do with their handles."""
        return {**self.__dict__, "_cached": None}

    def __len__(self) -> int:
        return len(self._rows)

    def subset(self, objects: Sequence[int]) -> MultiViewDataset:
        """Returns a data set of some of the objects, which reads the same files.

        Args:
            objects: The indices of the objects, in the order they are to have.

        Raises:
            ValueError: If there are none.
        """
        if not len(objects):
            raise ValueError("a subset needs at least one object, got none")
        part = copy.copy(self)
        for field in TEXT_FIELDS:
            texts: list[str] = getattr(self, field)
            setattr(part, field, [texts[index] for index in objects])
        kept = np.asarray(objects, np.int64)
        part._shards, part._rows = self._shards[kept], self._rows[kept]
        part._camera_rows = self._camera_rows[kept]
        part._sampler = part._make_sampler()
        part._cached = None
        return part

    @property
    def voxel_resolution(self) -> int:
        """The lowest resolution R there are voxels of.

        Raises:
            ValueError: If there are none.
        """
        if not self.layout.voxel_resolutions:
            raise self._missing("voxels_32")
        return min(self.layout.voxel_resolutions)

    def images(self, object_index: int, views: Sequence[int]) -> Tensor:
        """Returns [n, 4, H, W] uint8 sRGB RGBA (not premultiplied) of some views of an object."""
        return self.field(object_index, "images", views)

    def cameras(self, object_index: int, views: Sequence[int]) -> Tensor:
        """Returns the camera rows [n, 16] float32 of some views, for `Cameras.from_rows`."""
        return self.field(object_index, "cameras", views)

    def voxels(self, object_index: int, resolution: int | None = None) -> Tensor:
        """Returns the occupancy of an object, bool [R, R, R] in world axes [x, y, z].

        Args:
            object_index: The index of the object.
            resolution: The number R of voxels along each side; None takes the lowest there is.

        Raises:
            ValueError: If there are no voxels of that resolution.
        """
        chosen = self.voxel_resolution if resolution is None else resolution
        return self.field(object_index, f"voxels_{chosen}")

    def field(self, object_index: int, name: str, views: Sequence[int] | None = None) -> Tensor:
        """Returns an array of an object, in the shape and type of `recon.datasets.storage.layout`.

        Packed bits come unpacked: voxels_R as bool [R, R, R], occupancies as bool [P].

        Args:
            object_index: The index of the object.
            name: The name of the field, one of `fields`.
            views: The indices of the views, for a field with an entry per view; None means all.

        Raises:
            IndexError: If there is no such view.
            ValueError: If there is no such field, or it has no views.
            OSError: If the file cannot be read; the message names it.
        """
        if name not in self.fields:
            raise self._missing(name)
        if name not in PER_VIEW:
            if views is not None:
                raise ValueError(f"field {name} has no views, got views {list(views)}")
            return self._whole(object_index, name)
        chosen = list(range(self.num_views) if views is None else views)
        for view in chosen:
            if not 0 <= view < self.num_views:
                raise IndexError(f"view must be in 0..{self.num_views - 1}, got {view}")
        if name == "cameras":
            return torch.from_numpy(self._cameras[self._camera_rows[object_index], chosen])
        return self._images(name, np.array(object_index), np.array(chosen, np.int64))

    def _whole(self, object_index: int, name: str) -> Tensor:
        """Returns the array of an object that has no views."""
        shape, dtype = self._layout_fields[name]
        out = np.empty((1, *shape), dtype)
        reader = self._readers[self._shards[object_index]]
        reader.read(name, out, self._rows[[object_index]])
        if name == "occupancies":
            return torch.from_numpy(np.unpackbits(out[0], count=self.layout.num_points) > 0)
        for resolution in voxel_resolutions([name]):
            return unpack_voxels(out[0], resolution)
        return torch.from_numpy(out[0])

    def _images(self, name: str, objects: NDArray[np.int64], views: NDArray[np.int64]) -> Tensor:
        """Returns the images [..., H, W] of a field at objects and views, which are broadcast."""
        if self.cache and name == "images":
            return torch.from_numpy(self._cache()[objects, views])
        shape, dtype = self._layout_fields[name]
        pieces = self._rows[objects] * self.num_views + views
        out = np.empty((*pieces.shape, *shape[1:]), dtype)
        if len(self._readers) == 1:
            self._readers[0].read(name, out, pieces)
            return torch.from_numpy(out)
        shards = np.broadcast_to(self._shards[objects], pieces.shape)
        for shard in np.unique(shards):
            slots = np.flatnonzero(shards == shard)
            self._readers[shard].read(name, out, pieces.ravel()[slots], slots.tolist())
        return torch.from_numpy(out)

    def _cache(self) -> NDArray[np.uint8]:
        """Returns the images [N, K, 4, H, W] of all objects, kept in this process."""
        if self._cached is None:
            self._cached = np.empty((len(self), self.num_views, 4, *self.image_size), np.uint8)
            for index, shard in enumerate(self._shards):
                pieces = self._rows[index] * self.num_views + np.arange(self.num_views)
                self._readers[shard].read("images", self._cached[index], pieces)
        return self._cached

    def sample_batch(
        self,
        seed: int,
        step: int,
        batch_size: int,
        views_per_object: int = 2,
        rank: int = 0,
        world_size: int = 1,
        maps: Iterable[str] = (),
    ) -> dict[str, Tensor]:
        """Draws one process's share of the batch of a step, a pure function of the arguments.

        The whole batch depends on seed and step alone, whatever the number of processes W; see
        `recon.datasets.sampling.StepSampler.draw`.

        Args:
            seed: The seed of the whole run, >= 0.
            step: The step of the optimiser, >= 0.
            batch_size: The number N of objects in the whole batch, a multiple of W.
            views_per_object: The number n of views of each object, >= 1; they may coincide.
            rank: The rank of this process, in 0..W - 1.
            world_size: The number W of processes.
            maps: The maps to add, among 'shading', 'depth' and 'normals'.

        Returns:
            images: [N / W, n, 4, H, W] uint8; cameras: [N / W, n, 16] float32; and each
                map with the same leading axes.

        Raises:
            ValueError: If an argument is out of range, or there is no such map.
            OSError: If the file cannot be read; the message names it.
        """
        wanted = ("images", *maps)
        for name in wanted[1:]:
            if name not in MAPS:
                raise ValueError(f"maps must be among {MAPS}, got {name!r}")
            if name not in self.fields:
                raise self._missing(name)
        objects, views = self._sampler.draw(
            seed, step, batch_size, views_per_object, rank, world_size
        )
        objects = objects[:, None]
        cameras = torch.from_numpy(self._cameras[self._camera_rows[objects], views])
        images = {name: self._images(name, objects, views) for name in wanted}
        return {**images, "cameras": cameras}

    def configs(self) -> list[dict[str, Any]]:
        """The configuration that made each file, as its header keeps it; empty where there is none.

        Raises:
            OSError: If the file cannot be read; the message names it.
        """
        configs = []
        for path in self.paths:
            with open_dataset(path) as file:
                configs.append(read_json(file, "recipe"))
        return configs

    def _missing(self, name: str) -> ValueError:
        """Returns the error of a field that is not there, with how to make it."""
        return ValueError(
            f"{self._named()} has no field {name}, only {', '.join(self.fields)};"
            f" {_how_to_make(name)}"
        )


def _how_to_make(name: str) -> str:
    """Returns the keys with which scripts/prepare_data.py makes an optional field."""
    for resolution in voxel_resolutions([name]):
        return f"sources of meshes make it with rendering.voxel_resolutions=[{resolution}]"
    if name in MAPS:
        return f"sources of meshes make it with rendering.maps=[{name}]"
    if name in ("triangles", "triangle_colors"):
        return "sources of meshes make it with rendering.triangles=4096"
    for option, made in (
        ("num_points", ("points", "occupancies")),
        ("num_surface_points", ("pointcloud", "pointcloud_normals")),
    ):
        if name in made:
            return (
                f"sources of meshes make it with rendering.{option}=100000, others take it from"
                " source=occupancy_networks or source.points_folder"
            )
    return "that name is unknown"
