"""Times the making of images and voxels of meshes, stage by stage, and objects per second.

    python scripts/benchmarks/benchmark_preparation.py \
        [--faces 1280 5120 20480] [--processes 1 2] [--csv F]

An object is a bumpy sphere seen in the 24 standard views, plain or textured. Times are of the
fastest of several runs on one thread, in milliseconds per object. The floor of a stage is the time
this machine takes to copy as many bytes as the stage reads and writes. Objects per second are those
of processes with one thread each which also keep their samples on disk, as prepare_data.py does;
the processor time of an object beside them tells whether the machine was busy with something else.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import recon.entry_point  # noqa: F401  (before torch)

import numpy as np
import torch
from benchmark_cases import sphere
from benchmark_rasterizer import Columns, Row, best_seconds, describe, print_table, write_csv
from torch import Tensor

from recon.arguments import FaceCount, ImageSide, PositiveInt, Seconds, ThreadCount, option_type
from recon.command_line import CommandParser, concise_errors
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.geometry.cameras import Cameras
from recon.preparation.finished_objects import FinishedObjects
from recon.preparation.rendering import deferred, objects
from recon.preparation.rendering.objects import ObjectRenderer
from recon.preparation.rendering.texturing import Textures
from recon.preparation.sources.interface import ObjectEntry
from recon.rendering.lighting import Lighting

# Stage -> what is called in it, as (owner, name).
STAGES: dict[str, list[tuple[Any, str]]] = {
    "project": [(Cameras, "project"), (objects, "gather_faces")],
    "light": [(Lighting, "intensity")],
    "see": [(deferred, "visible_faces")],
    "colour": [(deferred, "pack_colors"), (deferred, "color_samples")],
    "texture": [(deferred, "locate"), (Textures, "look_up"), (deferred, "pack_texels")],
    "average": [(deferred, "average_samples")],
    "voxels": [(objects, "voxelize_mesh"), (objects, "pack_voxels")],
}
STAGE_COLUMNS: Columns = {
    "faces": ("faces", 6, "d"),
    "surface": ("surface", 8, "s"),
    "stage": ("stage", 8, "s"),
    "ms": ("ms", 7, ".2f"),
    "floor_ms": ("floor ms", 8, ".2f"),
    "share": ("share%", 6, ".0f"),
}
RATE_COLUMNS: Columns = {
    "faces": ("faces", 6, "d"),
    "surface": ("surface", 8, "s"),
    "processes": ("processes", 9, "d"),
    "rate": ("objects/s", 9, ".1f"),
    "images": ("images/s", 8, ".0f"),
    "cpu_ms": ("cpu ms", 7, ".1f"),
}
SURFACES = ("plain", "textured")
SIDE = 256  # texels along each side of the texture


def make_surface(faces: int, kind: str) -> TexturedMesh:
    """Returns a bumpy sphere of 20 * 4^k faces in a box of side 1.

    Args:
        faces: The number of faces.
        kind: "plain" for a colour of its own on every face, or "textured".
    """
    mesh = sphere(faces)
    rng = np.random.default_rng(0)
    directions = mesh.vertices.double().numpy()
    bumps = 1 + 0.05 * np.sin(9 * directions).sum(axis=1, keepdims=True)
    rgba = np.concatenate([rng.random((faces, 3)), np.ones((faces, 1))], axis=1)
    surface = TexturedMesh(
        directions * bumps,
        mesh.faces.numpy(),
        rgba.astype(np.float32),
        np.zeros(faces, np.int64),
    )
    if kind == "textured":
        texture = rng.integers(0, 256, (SIDE, SIDE, 4), np.uint8)
        texture[..., 3] = 255
        uvs = (directions[:, :2] / 2 + 0.5).astype(np.float32)[surface.faces]
        chosen = np.zeros(faces, np.int64)
        surface = replace(surface, uvs=uvs, face_texture=chosen, textures=(texture,))
    return surface.normalized()


def make_renderer(image_size: int) -> ObjectRenderer:
    """Returns the renderer of the default configuration."""
    light = Lighting(direction=(0.4, 1.0, -0.6), two_sided=True)
    return ObjectRenderer(image_size, supersample=4, lighting=light)


# ---- stages --------------------------------------------------------------------------------------


class Clock:
    """Adds up the seconds and the bytes of stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.bytes: dict[str, int] = defaultdict(int)

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function with its calls added to a stage."""

        def call(*arguments: Any, **settings: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments, **settings)
            self.seconds[stage] += time.perf_counter() - start
            self.bytes[stage] += count_bytes([*arguments, *settings.values(), result])
            return result

        return call


def measure_copy() -> float:
    """Returns the bytes per second, read and written ones, of copying far more than the caches."""
    source = torch.rand(1 << 25)
    target = torch.empty_like(source)
    return 2 * source.nbytes / best_seconds(lambda: target.copy_(source), "cpu", patience=0.3)


def count_bytes(value: Any) -> int:
    """Returns the bytes of all tensors and arrays in a value, each as large as it is read."""
    if isinstance(value, Tensor | np.ndarray):
        return int(value.nbytes)
    if isinstance(value, list | tuple):
        return sum(map(count_bytes, value))
    return 0


@contextmanager
def watched() -> Iterator[Clock]:
    """Times all stages of renderers in this process."""
    clock = Clock()
    with ExitStack() as stack:
        for stage, calls in STAGES.items():
            for owner, name in calls:
                timed = clock.timed(stage, getattr(owner, name))
                stack.enter_context(mock.patch.object(owner, name, timed))
        yield clock


def stage_rows(
    faces: int, kind: str, image_size: int, repeats: int, bandwidth: float
) -> Iterator[Row]:
    """Yields a row for each stage and one for the whole, of the fastest of some runs.

    Args:
        faces: The number of faces of the object.
        kind: The kind of its surface, "plain" or "textured".
        image_size: The number of pixels along each side.
        repeats: The number of runs.
        bandwidth: The bytes per second that this machine copies, read and written ones counted.
    """
    surface, renderer = make_surface(faces, kind), make_renderer(image_size)
    renderer(surface, "warm")
    best, clock = float("inf"), Clock()
    for _ in range(repeats):
        with watched() as current:
            start = time.perf_counter()
            renderer(surface, "object")
            total = time.perf_counter() - start
        if total < best:
            best, clock = total, current
    rest = best - sum(clock.seconds.values())
    floors = {stage: clock.bytes[stage] / bandwidth for stage in STAGES}
    for stage, spent in [*clock.seconds.items(), ("rest", rest), ("all", best)]:
        row: Row = {"faces": faces, "surface": kind, "stage": stage}
        row |= {"ms": 1e3 * spent, "share": 100 * spent / best}
        if stage != "rest":
            row["floor_ms"] = 1e3 * (sum(floors.values()) if stage == "all" else floors[stage])
        yield row


# ---- objects per second --------------------------------------------------------------------------


def make_objects(
    faces: int, kind: str, image_size: int, seconds: float, folder: str
) -> tuple[float, float]:
    """Makes samples and write them for some seconds on one thread.

    Returns:
        objects per second, and seconds of the processor per object.
    """
    torch.set_num_threads(1)
    surface, renderer = make_surface(faces, kind), make_renderer(image_size)
    parts = FinishedObjects(Path(folder) / "objects.h5")
    parts.folder.mkdir(exist_ok=True)
    entry = ObjectEntry(str(os.getpid()), "", "shape", "", "train", "", "")
    renderer(surface, "warm")
    count, start, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() < start + seconds:
        parts.write(entry, renderer(surface, "object"))
        count += 1
    used = time.process_time() - used
    return count / (time.perf_counter() - start), used / max(1, count)


def rate_rows(
    faces: int, kind: str, image_size: int, processes: Sequence[int], seconds: float
) -> Iterator[Row]:
    """Yields objects per second of some numbers of processes, all at work at the same time."""
    context = multiprocessing.get_context("spawn")
    for count in processes:
        with (
            tempfile.TemporaryDirectory() as folder,
            ProcessPoolExecutor(count, context) as pool,
        ):
            # The first round starts the processes, so that the second begins in all at once.
            for last in (0.0, seconds):
                arguments = (faces, kind, image_size, last, folder)
                futures = [pool.submit(make_objects, *arguments) for _ in range(count)]
                rates, times = zip(*(future.result() for future in futures), strict=True)
        yield {
            "faces": faces,
            "surface": kind,
            "processes": count,
            "rate": sum(rates),
            "cpu_ms": 1e3 * sum(times) / count,
            "images": sum(rates) * make_renderer(image_size).viewpoints.num_views,
        }


# ---- output --------------------------------------------------------------------------------------


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser((__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--faces", type=option_type(FaceCount), nargs="+", default=[1280, 5120, 20480]
    )
    parser.add_argument("--surfaces", nargs="+", choices=SURFACES, default=list(SURFACES))
    parser.add_argument("--image-size", type=option_type(ImageSide), default=64)
    parser.add_argument("--processes", type=option_type(ThreadCount), nargs="+", default=[1, 2])
    parser.add_argument(
        "--repeats", type=option_type(PositiveInt), default=15, help="runs for the times of stages"
    )
    parser.add_argument(
        "--seconds", type=option_type(Seconds), default=5.0, help="for objects per second"
    )
    parser.add_argument("--csv", metavar="FILE", help="also write all rows")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a row for each stage and for each number of processes."""
    args = parse_arguments(arguments)
    print(f"{describe('cpu')}, torch {torch.__version__}")
    cases = [(faces, kind) for kind in args.surfaces for faces in args.faces]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        bandwidth = measure_copy()
        print(f"one thread, copy {1e-9 * bandwidth:.1f} GB/s; 24 views of {args.image_size}^2\n")
        stages = (
            row
            for case in cases
            for row in stage_rows(*case, args.image_size, args.repeats, bandwidth)
        )
        done = print_table(stages, STAGE_COLUMNS)
    finally:
        torch.set_num_threads(threads)
    print()
    rates = (
        row
        for case in cases
        for row in rate_rows(*case, args.image_size, args.processes, args.seconds)
    )
    done += print_table(rates, RATE_COLUMNS)
    if args.csv:
        write_csv(args.csv, done, dict.fromkeys([*STAGE_COLUMNS, *RATE_COLUMNS]))


if __name__ == "__main__":
    with concise_errors(raised_as=SystemExit):
        main()
