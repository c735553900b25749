"""Times the soft rasterizer against the peak of this machine, and measures its memory.

    python scripts/benchmarks/benchmark_rasterizer.py \
        [--threads 1 2] [--cases 'rgb size=256' B=64] [--csv F]
    python scripts/benchmarks/benchmark_rasterizer.py --memory

Times are medians of several renders through the public function and autograd, in milliseconds per
image. Numbers of threads take turns, and a speed-up is the median over the turns, so that a busy
machine disturbs both alike. A pair is a pixel inside the support of a face; the peak is the best
float32 matrix product this machine made on as many threads, against which the operations counted
in benchmark_cases.py stand.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import ctypes
import dataclasses
import functools
import multiprocessing
import platform
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import recon.entry_point  # noqa: F401  (before torch)

import torch
from benchmark_cases import (
    CASES,
    DEFAULT_GAMMA,
    DIST_EPS,
    MEMORY_CASES,
    QUICK_CASES,
    WORK,
    Case,
    count_pairs,
    make_faces,
)
from torch import Tensor

from recon.arguments import PositiveInt, Seconds, ThreadCount, option_type
from recon.command_line import CommandParser, concise_errors
from renderer_cuda import soft_rasterize, soft_silhouette, visible_faces

Row = dict[str, Any]

# A column of the CSV file -> its heading, width and format in the table.
Columns = dict[str, tuple[str, int, str]]
SCENE_COLUMNS: Columns = {
    "kind": ("kind", 10, "s"),
    "faces": ("faces", 6, "d"),
    "image_size": ("size", 4, "d"),
    "images": ("B", 2, "d"),
    "sigma": ("sigma", 5, ".0e"),
    "gamma": ("gamma", 5, ".0e"),
    "threads": ("threads", 7, "d"),
}
TIME_COLUMNS: Columns = SCENE_COLUMNS | {
    "pairs": ("pairs/image", 11, ".0f"),
    "forward_ms": ("fwd ms", 8, ".3f"),
    "both_ms": ("both ms", 8, ".3f"),
    "forward_mpairs": ("fwd Mpair/s", 11, ".1f"),
    "both_mpairs": ("both Mpair/s", 12, ".1f"),
    "forward_ns": ("fwd ns/pair", 11, ".2f"),
    "both_ns": ("both ns/pair", 12, ".2f"),
    "forward_peak": ("fwd peak%", 9, ".1f"),
    "both_peak": ("both peak%", 10, ".1f"),
    "forward_speedup": ("fwd x", 5, ".2f"),
    "both_speedup": ("both x", 6, ".2f"),
}
# Too many for the table: percent of the copy's bandwidth, the fastest of the runs, and the peak.
CSV_COLUMNS = (
    "forward_bandwidth",
    "both_bandwidth",
    "forward_best_ms",
    "both_best_ms",
    "peak_gflops",
    "copy_gbs",
)
MEMORY_COLUMNS: Columns = SCENE_COLUMNS | {
    "growth_mb": ("growth MB", 9, ".2f"),
    "bytes_per_pixel": ("bytes/pixel", 11, ".1f"),
    "bytes_per_face": ("bytes/face", 10, ".1f"),
    "bound_mb": ("bound MB", 8, ".2f"),
    "of_bound": ("of bound", 8, ".2f"),
}
# The bound on the peak memory of a render with its backward, inputs not counted.
BYTES_PER_PIXEL, BYTES_PER_FACE = 100, 400


# ---- the machine ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peak:
    """The measured peaks: float32 operations (an add or a multiply) and bytes per second."""

    operations: float
    bytes: float


@dataclass(frozen=True)
class Elapsed:
    """The seconds of a call by the clock, and those that all threads of this process worked."""

    wall: float
    processor: float


def timed(run: Callable[[], object], device: str) -> Elapsed:
    """Returns the time of one call, on a GPU with all it started."""
    wait = torch.cuda.synchronize if device.startswith("cuda") else int
    wait()
    start, processor = time.perf_counter(), time.process_time()
    run()
    wait()
    return Elapsed(time.perf_counter() - start, time.process_time() - processor)


def median_ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    """Returns the median over the turns of our time over that of the others in the same turn."""
    return statistics.median(a / b for a, b in zip(ours, others, strict=True))


def best_seconds(run: Callable[[], object], device: str, patience: float) -> float:
    """Returns the shortest time of a call, tried for so many seconds."""
    run()
    best, end = timed(run, device).wall, time.perf_counter() + patience
    while time.perf_counter() < end:
        best = min(best, timed(run, device).wall)
    return best


def measure_peak(device: str, quick: bool = False) -> Peak:
    """Returns the best rates of a matrix product, small enough for the caches, and of a copy."""
    on_gpu, patience = device.startswith("cuda"), 0.05 if quick else 1.0
    operations = 0.0
    for size in (256,) if quick else (1024, 4096, 8192) if on_gpu else (256, 512, 1024):
        a, b = torch.rand(2, size, size, device=device)
        multiply = functools.partial(torch.matmul, a, b, out=torch.empty_like(a))
        operations = max(operations, 2 * size**3 / best_seconds(multiply, device, patience))
    # Far larger than the last cache of any machine.
    source = torch.rand((1 << 20) if quick else (1 << 28) if on_gpu else (1 << 25), device=device)
    copy = functools.partial(torch.empty_like(source).copy_, source)
    return Peak(operations, 2 * source.nbytes / best_seconds(copy, device, patience))


def denormals() -> str:
    """Tells what arithmetic of this thread does to denormal numbers: they are kept, or zero."""
    return "kept" if bool(torch.tensor([1e-40]) * 0.5 > 0) else "zero"


def describe(device: str) -> str:
    """Returns the name of the processor which renders."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}, denormals {denormals()}"


# ---- times ---------------------------------------------------------------------------------------


def directions(
    render: Callable[..., Tensor], leaves: dict[str, Tensor], upstream: Tensor
) -> dict[str, Callable[[], object]]:
    """Returns a render, "forward", and the render with its gradient to all its leaves, "both".

    Args:
        render: A function of the leaves by name.
        leaves: The tensors to which there is a gradient.
        upstream: The gradient of the loss with respect to the image.
    """
    tracked = {name: leaf.clone().requires_grad_() for name, leaf in leaves.items()}

    def both() -> object:
        return torch.autograd.grad(render(**tracked), tuple(tracked.values()), upstream)

    return {"forward": functools.partial(render, **leaves), "both": both}


def renders(case: Case, faces: Tensor) -> dict[str, Callable[[], object]]:
    """Returns what is timed: "forward", and "both" where the case has a backward."""
    textures = torch.rand_like(faces)

    def render(vertices: Tensor, colors: Tensor = textures) -> Tensor:
        size, sigma, gamma = case.image_size, case.sigma, case.gamma
        if case.kind == "silhouette":
            return soft_silhouette(vertices, size, sigma=sigma, dist_eps=DIST_EPS)
        if case.kind == "visible":
            return visible_faces(vertices, size)
        color = "hard" if case.kind == "hard" else "softmax"
        args = {"sigma": sigma, "gamma": gamma, "dist_eps": DIST_EPS}
        return soft_rasterize(vertices, colors, size, color=color, **args)

    if case.kind in ("hard", "visible"):
        return {"forward": functools.partial(render, faces)}
    leaves = {"vertices": faces} | ({"colors": textures} if case.kind == "rgb" else {})
    # Not like a first render: the kernels would keep memory from it, which `growth` would miss.
    channels = () if case.kind == "silhouette" else (4,)
    shape = (case.images, *channels, case.image_size, case.image_size)
    upstream = torch.randn(shape, dtype=faces.dtype, device=faces.device)
    return directions(render, leaves, upstream)


Times = dict[tuple[int, str], list[Elapsed]]


def measure(
    runs: dict[str, Callable[[], object]],
    threads: Sequence[int],
    repeats: int,
    budget: float,
    device: str,
) -> Times:
    """Returns the times of each run on each number of threads, which take turns.

    Args:
        runs: The functions to time, by name.
        threads: The numbers of threads to time them on.
        repeats: The greatest number of turns.
        budget: The seconds after which no further turn begins, except for the first three.
        device: The device on which the functions compute.
    """
    times: Times = defaultdict(list)
    start = time.perf_counter()
    for turn in range(repeats):
        if turn >= 3 and time.perf_counter() - start > budget:
            break
        for count in threads:
            torch.set_num_threads(count)
            for name, run in runs.items():
                if turn == 0 or (len(threads) > 1 and name == "forward"):
                    run()  # wakes the threads and fills the caches
                times[count, name].append(timed(run, device))
    return times


def time_row(
    case: Case, pairs: float, threads: int, first: int, times: Times, peaks: dict[int, Peak]
) -> Row:
    """Returns the figures of one case on `threads`; speed-ups are over those on `first` threads."""
    peak = peaks[threads]
    row: Row = {**vars(case), "threads": threads, "pairs": pairs / case.images}
    row |= {"peak_gflops": 1e-9 * peak.operations, "copy_gbs": 1e-9 * peak.bytes}
    faces, pixels = case.images * case.faces, case.images * case.pixels
    parts_of = {"forward": ("forward",), "both": ("forward", "backward")}
    for name, parts in parts_of.items():
        if (threads, name) not in times:
            continue
        own = [elapsed.wall for elapsed in times[threads, name]]
        median = statistics.median(own)
        work = [WORK[case.kind, part] for part in parts]
        operations = sum(w.operations(pairs, faces, pixels) for w in work)
        row[f"{name}_ms"] = 1e3 * median / case.images
        row[f"{name}_best_ms"] = 1e3 * min(own) / case.images
        row[f"{name}_mpairs"] = 1e-6 * pairs / median
        row[f"{name}_ns"] = 1e9 * median / max(pairs, 1)
        row[f"{name}_peak"] = 100 * operations / median / peak.operations
        row[f"{name}_bandwidth"] = (
            100 * sum(w.bytes(faces, pixels) for w in work) / median / peak.bytes
        )
        row[f"{name}_speedup"] = median_ratio([t.wall for t in times[first, name]], own)
    return row


def time_rows(
    cases: Iterable[Case],
    threads: Sequence[int],
    peaks: dict[int, Peak],
    device: str,
    repeats: int,
    budget: float,
) -> Iterator[Row]:
    """Yields a row for each case and number of threads."""
    known: dict[Case, int] = {}  # counting takes seconds, and several kinds share a scene
    for case in cases:
        torch.set_num_threads(max(threads))
        faces = make_faces(case)
        scene = dataclasses.replace(case, kind="any", gamma=DEFAULT_GAMMA)
        if scene not in known:
            known[scene] = count_pairs(faces, case.image_size, case.sigma)
        pairs = known[scene]
        runs = renders(case, faces.to(device))
        times = measure(runs, threads, repeats, budget, device)
        for count in threads:
            yield time_row(case, pairs, count, threads[0], times, peaks)


def flatness(rows: Sequence[Row]) -> Iterator[str]:
    """Yields a line for all rows which differ in the number of faces only: cost per pair, ns."""
    groups: dict[tuple[Any, ...], dict[int, Row]] = defaultdict(dict)
    for row in rows:
        key = tuple(
            row[name] for name in ("kind", "image_size", "images", "sigma", "gamma", "threads")
        )
        groups[key][row["faces"]] = row
    for (kind, size, images, sigma, gamma, threads), group in groups.items():
        for name in ("forward", "both"):
            costs = [row[f"{name}_ns"] for row in group.values() if f"{name}_ns" in row]
            if len(costs) > 1:
                low, high = min(costs), max(costs)
                yield (
                    f"{kind} size={size} B={images} sigma={sigma:.0e} gamma={gamma:.0e} "
                    f"threads={threads}, {min(group)} to {max(group)} faces, {name}: "
                    f"{low:.2f} to {high:.2f} ns, x{high / low:.2f}"
                )


# ---- memory --------------------------------------------------------------------------------------


def resident_bytes(field: str) -> int:
    """Returns VmRSS (now) or VmHWM (the most since the start or `forget_peak`) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise ValueError(f"field must be in /proc/self/status, got {field}")


def return_freed_memory() -> None:
    """Lets glibc give every freed block of 64 KiB or more back to the system at once.

    Otherwise blocks kept from before serve a render, whose growth then looks smaller than it is, or
    blocks kept from its forward stand beside those of its backward.
    """
    mmap_threshold = -3  # M_MMAP_THRESHOLD of malloc.h; setting it also keeps it from growing
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).mallopt(mmap_threshold, 1 << 16)


def forget_peak() -> None:
    """Gives freed memory back to the system and sets VmHWM to VmRSS."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def growth(run: Callable[[], object], device: str) -> int:
    """Returns by how many bytes memory grew, at its peak, during a call."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    try:
        forget_peak()
    except (OSError, AttributeError):  # not Linux with glibc: the peak so far hides some of it
        unit = 1 if sys.platform == "darwin" else 1024
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        run()
        return unit * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most)
    before = resident_bytes("VmRSS")
    run()
    return resident_bytes("VmHWM") - before


def last_run(case: Case, device: str) -> Callable[[], object]:
    """Returns a render of the case, with its backward where it has one."""
    return list(renders(case, make_faces(case).to(device)).values())[-1]


def memory_row(case: Case, threads: int, device: str) -> Row:
    """Returns the figures of one case, measured in this process, which should be a fresh one."""
    return_freed_memory()
    torch.set_num_threads(threads)
    small = Case(case.kind, 2, 16, 80, case.sigma)
    last_run(small, device)()  # loads the kernels and starts the threads
    run = last_run(case, device)
    grown = growth(run, device)
    pixels, faces = case.images * case.pixels, case.images * case.faces
    bound = BYTES_PER_PIXEL * pixels + BYTES_PER_FACE * faces
    return {
        **vars(case),
        "threads": threads,
        "growth_mb": 1e-6 * grown,
        "bytes_per_pixel": grown / pixels,
        "bytes_per_face": grown / faces,
        "bound_mb": 1e-6 * bound,
        "of_bound": grown / bound,
    }


def memory_rows(cases: Iterable[Case], threads: Sequence[int], device: str) -> Iterator[Row]:
    """Yields a row for each case and number of threads, each measured in a process of its own."""
    context = multiprocessing.get_context("spawn")
    for case in cases:
        for count in threads:
            with ProcessPoolExecutor(max_workers=1, mp_context=context) as process:
                yield process.submit(memory_row, case, count, device).result()


# ---- output --------------------------------------------------------------------------------------


def print_table(rows: Iterable[Row], columns: Columns) -> list[Row]:
    """Prints rows as they come, under headings, and returns them; a dash stands for no value."""
    print("  ".join(heading.rjust(width) for heading, width, _ in columns.values()))
    done = []
    for row in rows:
        cells = (
            (format(row[name], form) if name in row else "-").rjust(width)
            for name, (_, width, form) in columns.items()
        )
        print("  ".join(cells), flush=True)
        done.append(row)
    return done


def write_csv(path: str, rows: Sequence[Row], columns: Iterable[str]) -> None:
    """Writes rows with all their columns; what a row lacks is empty."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser((__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--threads", type=option_type(ThreadCount), nargs="+", default=[torch.get_num_threads()]
    )
    parser.add_argument(
        "--repeats", type=option_type(PositiveInt), default=15, help="turns per case, at most"
    )
    parser.add_argument(
        "--budget", type=option_type(Seconds), default=10.0, help="seconds per case, about"
    )
    parser.add_argument(
        "--cases", nargs="+", default=[""], help="only cases whose name contains one of these"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of times")
    parser.add_argument("--quick", action="store_true", help="tiny cases, to see that it works")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--csv", metavar="FILE", help="also write the rows, with more columns")
    return parser.parse_args(arguments)


def report_times(args: argparse.Namespace, cases: Sequence[Case]) -> list[Row]:
    """Measures and prints peaks, times and how flat the cost per pair is; returns the rows."""
    peaks = {}
    for count in args.threads:
        torch.set_num_threads(count)
        peaks[count] = measure_peak(args.device, args.quick)
        print(
            f"threads={count}: peak {1e-9 * peaks[count].operations:.1f} GFLOP/s float32, "
            f"copy {1e-9 * peaks[count].bytes:.1f} GB/s"
        )
    print("\nboth = forward + backward; x = speed-up over the first number of threads")
    rows = time_rows(cases, args.threads, peaks, args.device, args.repeats, args.budget)
    done = print_table(rows, TIME_COLUMNS)
    lines = list(flatness(done))
    if lines:
        print("\ncost per pair over the number of faces")
        print("\n".join(lines))
    return done


def report_memory(args: argparse.Namespace, cases: Sequence[Case]) -> list[Row]:
    """Measures and prints peak memory; returns the rows."""
    print(
        "growth of memory over the inputs at the peak of forward + backward; bound: "
        f"{BYTES_PER_PIXEL} bytes per pixel + {BYTES_PER_FACE} bytes per face, of each image"
    )
    return print_table(memory_rows(cases, args.threads, args.device), MEMORY_COLUMNS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a row for each case and number of threads."""
    args = parse_arguments(arguments)
    every = QUICK_CASES if args.quick else MEMORY_CASES if args.memory else CASES
    cases = [case for case in every if any(word in case.name for word in args.cases)]
    if args.list:
        print("\n".join(case.name for case in cases))
        return
    print(f"{describe(args.device)}, torch {torch.__version__}")
    threads = torch.get_num_threads()
    try:
        rows = (report_memory if args.memory else report_times)(args, cases)
    finally:
        torch.set_num_threads(threads)
    if args.csv:
        columns = [*MEMORY_COLUMNS] if args.memory else [*TIME_COLUMNS, *CSV_COLUMNS]
        write_csv(args.csv, rows, columns)


if __name__ == "__main__":
    with concise_errors(raised_as=SystemExit):
        main()
