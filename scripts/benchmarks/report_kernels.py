"""Reports what each CUDA kernel takes of a chip, and how full it can make one; no chip is needed.

    python scripts/benchmarks/report_kernels.py [--architectures 75 80 90 120] [--only REGEX]

Registers per thread, static shared memory per block, local memory per thread (arrays the compiler
could not keep in registers) and spilled bytes are those `ptxas -v` tells; f64 counts the double
precision instructions in the PTX, which a kernel of floats must not have, and loads the
instructions that read global memory: those of 16 bytes, of all. The occupancy is the share of a
multiprocessor's warps that can be resident at once, and what sets it.

Its limits are those of the tables "Compute Capabilities" of the CUDA C++ Programming Guide; how
registers and shared memory are allocated is told by `cuda_occupancy.h` of the CUDA toolkit (per
warp in units of 256 registers in each of four partitions; per block in units of 128 bytes and,
since compute capability 8.0, with 1 KiB kept by the driver). Memory asked for at launch is not
known here.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import recon.entry_point  # noqa: F401  (before torch)

from recon.arguments import ThreadCount, option_type
from recon.command_line import CommandParser
from recon.threads import available_cores
from renderer_cuda import build

ARCHITECTURES = ("75", "80", "90", "120")

WARP = 32
REGISTERS = 64 * 1024  # of a multiprocessor; the same on all architectures below
PARTITIONS = 4
REGISTER_UNIT = 256


@dataclass(frozen=True)
class Limits:
    """The limits of a multiprocessor; memory in bytes."""

    warps: int
    blocks: int
    shared: int
    shared_unit: int = 128
    shared_kept: int = 1024


LIMITS = {
    "75": Limits(32, 16, 64 * 1024, shared_unit=256, shared_kept=0),
    "80": Limits(64, 32, 164 * 1024),
    "86": Limits(48, 16, 100 * 1024),
    "89": Limits(48, 24, 100 * 1024),
    "90": Limits(64, 32, 228 * 1024),
    "100": Limits(64, 32, 228 * 1024),
    "120": Limits(48, 24, 100 * 1024),
}


@dataclass(frozen=True)
class Kernel:
    """The resources of one kernel: memory in bytes, threads per block, and counted instructions."""

    name: str
    registers: int
    shared: int
    local: int
    spilled: int
    threads: int
    doubles: int
    loads: int
    wide_loads: int


@dataclass(frozen=True)
class Occupancy:
    """The resident share of a multiprocessor's warps, and the resource that allows no more."""

    share: float
    limit: str


def round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def occupancy(kernel: Kernel, limits: Limits) -> Occupancy:
    """Computes the occupancy by what the kernel takes before it is launched."""
    warps = round_up(kernel.threads, WARP) // WARP
    warp_registers = max(round_up(kernel.registers * WARP, REGISTER_UNIT), REGISTER_UNIT)
    resident_warps = REGISTERS // PARTITIONS // warp_registers * PARTITIONS
    block_shared = round_up(kernel.shared + limits.shared_kept, limits.shared_unit)
    blocks = {
        "warps": limits.warps // warps,
        "registers": resident_warps // warps,
        "shared memory": limits.shared // block_shared if block_shared else limits.blocks,
        "blocks": limits.blocks,
    }
    limit = min(blocks, key=lambda name: blocks[name])
    return Occupancy(blocks[limit] * warps / limits.warps, limit)


# ---- reading what the compiler writes ------------------------------------------------------------


def split_ptx(ptx: str) -> dict[str, str]:
    """Returns the text of each kernel and function of a PTX file by its mangled name."""
    parts = re.split(r"\.(?:entry|func)\s+(?:\([^)]*\)\s*)?([\w$]+)", ptx)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def count_doubles(body: str) -> int:
    """Counts the instructions of double precision in the PTX of a kernel."""
    opcodes = re.findall(r"^\s+(?:@!?%\w+\s+)?([a-z]\w*(?:\.\w+)*)", body, flags=re.MULTILINE)
    return sum("f64" in opcode.split(".") for opcode in opcodes)


def count_loads(body: str) -> tuple[int, int]:
    """Counts the instructions that load from global memory in a kernel's PTX; and of 16 bytes."""
    loads = re.findall(r"\bld\.global(?:\.nc)?((?:\.v[24])?)\.[a-z](\d+)", body)
    sizes = [int(bits) // 8 * int(vector[2:] or 1) for vector, bits in loads]
    return len(sizes), sizes.count(16)


def count_threads(body: str) -> int | None:
    """Returns the threads of a block by `__launch_bounds__`, if the kernel has it."""
    found = re.search(r"\.(?:maxntid|reqntid)\s+(\d+)(?:, (\d+))?(?:, (\d+))?", body)
    if not found:
        return None
    x, y, z = (int(number or 1) for number in found.groups())
    return x * y * z


def parse_usage(log: str) -> dict[str, dict[str, int]]:
    """Returns what each kernel uses, by its mangled name, from a log of `ptxas -v`.

    A function that is not inlined is told of with the kernel that calls it: its spills count too.
    """
    parts = re.split(r"Compiling entry function '(\S+)'", log)
    return {
        name: {
            "registers": max(numbers(r"Used (\d+) registers", told)),
            "shared": max(numbers(r"(\d+) bytes smem", told), default=0),
            "local": max(numbers(r"(\d+) bytes stack frame", told), default=0),
            "spilled": sum(numbers(r"(\d+) bytes spill (?:stores|loads)", told)),
        }
        for name, told in zip(parts[1::2], parts[2::2], strict=True)
    }


def numbers(pattern: str, text: str) -> list[int]:
    return [int(found) for found in re.findall(pattern, text)]


def demangle(names: Sequence[str]) -> list[str]:
    done = subprocess.run(
        ["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def shorten(name: str) -> str:
    """Returns a demangled name without namespaces and parameters: kernel<Color 1, float>."""
    name = name.replace("(anonymous namespace)::", "").removeprefix("void ")
    name = re.sub(r"\b\w+::", "", name)
    name = re.sub(r"\((\w+)\)(-?\d+)", r"\1 \2", name)  # a value of an enumeration
    return name.partition("(")[0]


# ---- compiling -----------------------------------------------------------------------------------


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise build.BuildError(f"{' '.join(command)}\n{done.stderr[-4000:]}")
    return done.stderr


def compile_source(to_ptx: list[str], architecture: str, folder: Path) -> tuple[str, str]:
    """Compiles a source; returns its PTX and the log of `ptxas -v`."""
    ptx = folder / f"{Path(to_ptx[-1]).stem}_{architecture}.ptx"
    run([*to_ptx, "-o", str(ptx)])
    assemble = [build.find_nvcc(), "-cubin", f"-arch=sm_{architecture}", "-Xptxas=-v"]
    log = run([*assemble, str(ptx), "-o", str(ptx.with_suffix(".cubin"))])
    return ptx.read_text(), log


def read_kernels(ptx: str, log: str, threads: int) -> list[Kernel]:
    """Puts together what PTX and log tell; threads stands in where no `__launch_bounds__` is."""
    bodies = split_ptx(ptx)
    usage = parse_usage(log)
    kernels = []
    for name, (mangled, used) in zip(demangle(list(usage)), usage.items(), strict=True):
        loads, wide_loads = count_loads(bodies[mangled])
        kernels.append(
            Kernel(
                name=shorten(name),
                threads=count_threads(bodies[mangled]) or threads,
                doubles=count_doubles(bodies[mangled]),
                loads=loads,
                wide_loads=wide_loads,
                **used,
            )
        )
    return kernels


def compile_kernels(architectures: Sequence[str], threads: int = 256) -> dict[str, list[Kernel]]:
    """Compiles all CUDA kernels for each architecture, and describes each; sorted by name.

    Raises:
        BuildError: There is no nvcc, or it fails.
    """
    jobs = [(a, command) for a in architectures for command in build.ptx_commands(a)]
    kernels: dict[str, list[Kernel]] = {architecture: [] for architecture in architectures}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(available_cores()) as pool:
        compiled = pool.map(lambda job: compile_source(job[1], job[0], Path(folder)), jobs)
        for (architecture, _), (ptx, log) in zip(jobs, compiled, strict=True):
            kernels[architecture] += read_kernels(ptx, log, threads)
    return {a: sorted(found, key=lambda kernel: kernel.name) for a, found in kernels.items()}


# ---- the table -----------------------------------------------------------------------------------


def table(kernels: dict[str, list[Kernel]]) -> Iterator[str]:
    width = max((len(k.name) for found in kernels.values() for k in found), default=6)
    yield (
        f"{'kernel':{width}}  arch   registers  shared  local  spilled  f64  loads  threads"
        "  occupancy  limited by"
    )
    for architecture, found in kernels.items():
        for k in found:
            full = occupancy(k, LIMITS[architecture])
            yield (
                f"{k.name:{width}}  sm_{architecture:3} {k.registers:10} {k.shared:7} {k.local:6}"
                f" {k.spilled:8} {k.doubles:4} {f'{k.wide_loads}/{k.loads}':>6} {k.threads:8}"
                f" {full.share:10.0%}  {full.limit}"
            )


def parse_arguments() -> argparse.Namespace:
    parser = CommandParser(__doc__)
    parser.add_argument(
        "--architectures", nargs="+", choices=LIMITS, default=ARCHITECTURES, metavar="CC"
    )
    parser.add_argument("--only", default="", help="a part of the names of kernels")
    parser.add_argument(
        "--threads",
        type=option_type(ThreadCount),
        default=256,
        help="per block, for kernels which do not say",
    )
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    try:
        kernels = compile_kernels(arguments.architectures, arguments.threads)
    except build.BuildError as error:
        print(error, file=sys.stderr)
        return 1
    chosen = {a: [k for k in found if arguments.only in k.name] for a, found in kernels.items()}
    print("\n".join(table(chosen)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
