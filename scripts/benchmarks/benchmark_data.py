"""Measures how fast training gets its images from a file, against plain reads of the same bytes.

    python scripts/benchmarks/benchmark_data.py \
        [--size 5] [--workers 0 1 2] [--compression lzf] [--keep FILE]

The file has images of generated shapes under changing colours. Batches of 64 objects x 2 views
come through the loader of recon.training.trainer, drawn as in training. Warm means from a part of
the file that is in the system's page cache; cold means from the whole file after it was dropped
from the cache, so every image comes from the disk. The floor reads the same bytes in the same
order with os.pread, one call per image, in this process; all take turns, figures are medians
over the turns, and shares of the floor are formed within a turn, so that a busy machine disturbs
all alike.
Hand-over is what a loader with workers delivers when there is nothing to read.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import recon.entry_point  # noqa: F401  (before torch)

import h5py
import numpy as np
import torch
from benchmark_rasterizer import Columns, Row, describe, print_table
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from recon.arguments import BatchSize, Gigabytes, PositiveInt, ViewCount, Workers, option_type
from recon.command_line import CommandParser, concise_errors
from recon.datasets.multiview import MultiViewDataset
from recon.datasets.sampling import StepSampler
from recon.datasets.storage.compression import COMPRESSIONS, compression_of
from recon.datasets.storage.hdf5 import Header, Labels, open_dataset, write_dataset
from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.preparation.rendering.objects import ObjectRenderer, RenderedSource
from recon.preparation.sources.shapes import ShapesSource
from recon.training.step_batches import StepBatches, load_steps

COLUMNS: Columns = {
    "state": ("state", 5, "s"),
    "reader": ("reader", 19, "s"),
    "rate": ("images/s", 9, ",.0f"),
    "megabytes": ("MB/s", 7, ",.0f"),
    "microseconds": ("us/image", 8, ".2f"),
    "share": ("of floor", 8, ".0%"),
}
# The part of the file that is measured warm, in bytes: far less than any machine's cache.
WARM_BYTES = 1 << 30
# Batches before the clock starts, in which workers start; and what a loader reads ahead per worker.
HEAD, PREFETCH = 4, 2
NOISE = 4.0  # standard deviation of the grain on opaque pixels, in grey levels: a texture's
SEED = 0


# ---- the file ------------------------------------------------------------------------------------


def make_file(path: Path, size: float, compression: str) -> None:
    """Writes images and voxels of so many bytes, before compression.

    Args:
        path: The path of the file.
        size: The size in bytes.
        compression: The compression, see `write_dataset`.
    """
    source = RenderedSource(ShapesSource(objects_per_category=2), ObjectRenderer())
    entries = source.objects()
    layout = source.layout()
    one = sum(field.nbytes for field in layout.fields().values())
    count = max(8, int(size / one))
    warm = max(4, min(count // 2, WARM_BYTES // one))
    objects = [source.arrays(entry) for entry in entries[:count]]
    labels = [
        Labels(
            f"{k}", f"{k}", entries[k % len(objects)].synset, "", "warm" if k < warm else "rest", ""
        )
        for k in range(count)
    ]
    header = Header("benchmark", "scripts/benchmarks/benchmark_data.py", {}, {"size": size}, {})
    write_dataset(path, header, layout, labels, vary(objects, layout, count), compression)


def vary(objects: Sequence[ObjectArrays], layout: Layout, count: int) -> Iterator[ObjectArrays]:
    """Yields `count` objects: those given in turn, each time in other colours with other grain."""
    rng = np.random.default_rng(SEED)
    shape = (layout.num_views, 3, *layout.image_size)
    grain = np.rint(rng.normal(0, NOISE, (2 * shape[0], *shape[1:]))).astype(np.int16)
    for k in range(count):
        arrays = objects[k % len(objects)]
        images = arrays["images"]
        first = rng.integers(len(grain) - shape[0])
        colors = images[:, rng.permutation(3)] + grain[first : first + shape[0]]
        colors = np.where(images[:, 3:] > 0, colors.clip(0, 255), 0).astype(np.uint8)
        yield {**arrays, "images": np.concatenate([colors, images[:, 3:]], axis=1)}


@contextmanager
def prepared_file(keep: str | None, size: float, compression: str) -> Iterator[Path]:
    """Yields the path of a file, made where it is not there and removed if nobody keeps it."""
    if keep is not None and Path(keep).exists():
        print(f"{keep} is there already; --size and --compression do not count")
        yield Path(keep)
        return
    with tempfile.TemporaryDirectory(prefix="benchmark_data_") as folder:
        path = Path(keep) if keep is not None else Path(folder) / "data.h5"
        began = time.perf_counter()
        make_file(path, size, compression)
        print(f"made {path} in {time.perf_counter() - began:.0f} s")
        yield path


def chunk_table(path: Path) -> NDArray[np.int64]:
    """Returns address and stored size [objects, views, 2] of every image."""
    with open_dataset(path) as file:
        images = file["images"]
        table = np.zeros((*images.shape[:2], 2), np.int64)

        def note(chunk: h5py.h5d.StoreInfo) -> None:
            table[chunk.chunk_offset[:2]] = chunk.byte_offset, chunk.size

        images.id.chunk_iter(note)
    return table


# ---- the readers ---------------------------------------------------------------------------------


class EmptyBatches(Dataset[dict[str, Tensor]]):
    """Batches in the shape of real ones, without anything read."""

    def __init__(self, batch: dict[str, Tensor]) -> None:
        self.batch = batch

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        return {name: torch.empty_like(tensor) for name, tensor in self.batch.items()}


class Reading:
    """The same batches, read in different ways from one state of the page cache.

    Args:
        path: The path of the file.
        state: The state of the page cache: 'warm' or 'cold'.
        batch_size: The number of objects per batch.
        views: The number of views per object.
        count: The number of batches whose reading is timed.
    """

    def __init__(self, path: Path, state: str, batch_size: int, views: int, count: int) -> None:
        self.path, self.state, self.count = path, state, count
        self.data = MultiViewDataset(path, "warm" if state == "warm" else None)
        self.batches = StepBatches(self.data, SEED, batch_size, views)
        self.images = count * batch_size * views
        table, sampler = chunk_table(path), StepSampler(self.data.synsets, self.data.num_views)
        rows = np.array([int(name) for name in self.data.ids])
        self.places = []  # (address, stored size) of every image, in order
        for step in range(HEAD, HEAD + count):
            objects, shown = sampler.draw(SEED, step, batch_size, views)
            self.places += table[rows[objects][:, None], shown].reshape(-1, 2).tolist()
        self.nbytes = sum(size for _, size in self.places)

    def settle(self) -> None:
        """Brings the part that is read into the page cache, or drops the file from it."""
        with self.path.open("rb", buffering=0) as file:
            if self.state == "cold":
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                return
            end = max(address + size for address, size in self.places)
            while file.tell() < end and file.read(1 << 24):
                pass

    def floor_seconds(self) -> float:
        """Reads with os.pread, one call per image."""
        self.settle()
        with self.path.open("rb", buffering=0) as file:
            descriptor = file.fileno()
            began = time.perf_counter()
            for address, size in self.places:
                os.pread(descriptor, size, address)
            return time.perf_counter() - began

    def loader_seconds(self, workers: int) -> float:
        """Reads as training does."""
        self.settle()
        return self._timed(self.batches, workers)

    def handover_seconds(self, workers: int) -> float:
        """Lets workers deliver batches that nobody fills."""
        return self._timed(EmptyBatches(self.batches[0]), workers)

    def _timed(self, batches: Dataset[dict[str, Tensor]], workers: int) -> float:
        """Times the batches after the first; as many lie ready at the end as at the beginning."""
        steps = range(HEAD + self.count + PREFETCH * workers)
        loader = iter(load_steps(batches, steps, workers, pin_memory=torch.cuda.is_available()))
        for _ in range(HEAD):
            next(loader)
        began = time.perf_counter()
        for _ in range(self.count):
            next(loader)
        return time.perf_counter() - began


def measure(reading: Reading, workers: Sequence[int], repeats: int) -> Iterator[Row]:
    """Yields a row for the floor and for each number of workers, all taking turns."""
    turns: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeats):
        turns["floor"].append(reading.floor_seconds())
        for count in workers:
            turns[reader_name(count)].append(reading.loader_seconds(count))
            if count and reading.state == "warm":
                turns[f"  hand-over of {count}"].append(reading.handover_seconds(count))
    for name, seconds in turns.items():
        middle = statistics.median(seconds)
        shares = [floor / other for floor, other in zip(turns["floor"], seconds, strict=True)]
        yield {
            "state": reading.state,
            "reader": name,
            "rate": reading.images / middle,
            "megabytes": 1e-6 * reading.nbytes / middle,
            "microseconds": 1e6 * middle / reading.images,
            "share": statistics.median(shares),
        }


def reader_name(workers: int) -> str:
    """Returns what to call a loader in the table."""
    return f"loader, {workers} worker{'s' if workers != 1 else ''}"


# ---- the command ---------------------------------------------------------------------------------


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser((__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--size", type=option_type(Gigabytes), default=5.0, help="GB before compression"
    )
    parser.add_argument("--compression", choices=COMPRESSIONS, default="none")
    parser.add_argument("--keep", metavar="FILE", help="where to make the file, or where it is")
    parser.add_argument("--workers", type=option_type(Workers), nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--batch-size", type=option_type(BatchSize), default=64, help="objects per batch"
    )
    parser.add_argument("--views", type=option_type(ViewCount), default=2, help="views per object")
    parser.add_argument(
        "--batches", type=option_type(PositiveInt), default=150, help="timed in each turn"
    )
    parser.add_argument("--repeats", type=option_type(PositiveInt), default=7, help="turns")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Prints a row for each way to read, and returns the rows."""
    args = parse_arguments(arguments)
    print(f"{describe('cpu')}, torch {torch.__version__}, h5py {h5py.__version__}")
    with prepared_file(args.keep, 1e9 * args.size, args.compression) as path:
        print(describe_file(path), end="\n\n")
        rows = []
        for state in ("warm", "cold"):
            settings = (args.batch_size, args.views, args.batches)
            reading = Reading(path, state, *settings)
            rows += print_table(measure(reading, args.workers, args.repeats), COLUMNS)
    return rows


def describe_file(path: Path) -> str:
    """Returns the size of a file and what is in it, in a line."""
    with open_dataset(path) as file:
        count, views, channels, height, width = file["images"].shape
        stored = file["images"].id.get_storage_size()
        compression = compression_of(file["images"])
    plain = count * views * channels * height * width
    return (
        f"{1e-9 * path.stat().st_size:.2f} GB, {count * views:,} images of {height}x{width},"
        f" compression {compression} ({plain / stored:.1f} : 1)"
    )


if __name__ == "__main__":
    with concise_errors(raised_as=SystemExit):
        main()
