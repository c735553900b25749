"""The compilers of this machine, and the GPUs that a library of CUDA kernels is made for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

# Compute capabilities, ten times the major number and the minor one, which the CUDA kernels are
# built for where no device is visible and TORCH_CUDA_ARCH_LIST is not set: those of them that nvcc
# knows.
CUDA_ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)


class BuildError(RuntimeError):
    """The native kernels cannot be built, or do not run here; the message says why."""


class ToolMissingError(BuildError):
    """There is nothing to build them with."""


def find_compiler() -> str:
    """Return the C++ compiler: that of $CXX if set, else g++, clang++ or c++, whichever is first.

    Raises:
        ToolMissingError: There is none.
    """
    chosen = os.environ.get("CXX")
    for name in [chosen] if chosen else ["g++", "clang++", "c++"]:
        if name and shutil.which(name):
            return name
    looked = f"CXX={chosen}" if chosen else "g++, clang++, c++"
    raise ToolMissingError(f"no C++ compiler found (looked for {looked})")


def find_nvcc() -> str:
    """Return nvcc: that of $CUDA_HOME if set, else the one on PATH.

    Raises:
        ToolMissingError: There is none, or this torch could not use what it makes.
    """
    home = os.environ.get("CUDA_HOME")
    candidate = shutil.which(os.path.join(home, "bin", "nvcc") if home else "nvcc")
    if candidate is None:
        raise ToolMissingError(f"nvcc not found ({'in CUDA_HOME ' + home if home else 'on PATH'})")
    if torch_cuda_major() is None:
        raise ToolMissingError("this torch is built without CUDA")
    return candidate


def torch_cuda_major() -> int | None:
    """Return the major version of the CUDA that this torch is built with; None without CUDA."""
    version = torch.version.cuda
    return None if version is None else int(version.partition(".")[0])


def run(command: Sequence[str]) -> str:
    """Run a compiler and return what it printed.

    Raises:
        BuildError: It failed; the message has the command and the end of its messages.
    """
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)}\n{done.stderr[-4000:]}")
    return done.stdout


@dataclass(frozen=True)
class CudaTarget:
    """What a library of CUDA kernels is made for.

    Args:
        major: The major version of its CUDA toolkit.
        binaries: The compute capabilities it has machine code for, ascending; 86 stands for 8.6.
        ptx: The capability of its PTX, which drivers translate for chips that came later.
    """

    major: int
    binaries: tuple[int, ...]
    ptx: int

    @property
    def name(self) -> str:
        """The part of the library's file name that tells the target, as "cu13_sm80_sm90_ptx90"."""
        codes = "_".join(f"sm{capability}" for capability in self.binaries)
        return f"cu{self.major}_{codes}_ptx{self.ptx}"

    @property
    def flags(self) -> tuple[str, ...]:
        """The arguments of nvcc."""
        codes = [(capability, f"sm_{capability}") for capability in self.binaries]
        codes.append((self.ptx, f"compute_{self.ptx}"))
        return tuple(f"-gencode=arch=compute_{number},code={code}" for number, code in codes)

    def runs_natively(self, capability: int) -> bool:
        """Return whether it has machine code for a device: of its major number, and no newer."""
        return any(b // 10 == capability // 10 and b <= capability for b in self.binaries)

    def runs(self, capability: int) -> bool:
        """Return whether it has machine code for a device, or PTX for the driver to translate."""
        return self.runs_natively(capability) or self.ptx <= capability


_TARGET_NAME = re.compile(r"_cu(\d+)((?:_sm\d+)+)_ptx(\d+)$")


def parse_target(stem: str) -> CudaTarget | None:
    """Return the target that the name of a library ends with, if it does."""
    match = _TARGET_NAME.search(stem)
    if match is None:
        return None
    binaries = tuple(int(code) for code in match[2].split("_sm")[1:])
    return CudaTarget(int(match[1]), binaries, int(match[3]))


def listed_capabilities() -> tuple[int, ...]:
    """Return the compute capabilities of $TORCH_CUDA_ARCH_LIST, ascending; none if it is not set.

    Raises:
        BuildError: An entry is not a number such as 8.0 or 9.0+PTX.
    """
    found = set()
    for entry in os.environ.get("TORCH_CUDA_ARCH_LIST", "").replace(";", " ").split():
        match = re.fullmatch(r"(\d+)\.(\d)[af]?(\+PTX)?", entry)
        if match is None:
            raise BuildError(
                "TORCH_CUDA_ARCH_LIST must list compute capabilities such as 8.0 or 9.0+PTX, "
                f"got {entry!r}"
            )
        found.add(int(match[1] + match[2]))
    return tuple(sorted(found))


def visible_capabilities() -> tuple[int, ...]:
    """Return the compute capabilities of the devices that torch sees, ascending."""
    if not torch.cuda.is_available():
        return ()
    devices = map(torch.cuda.get_device_capability, range(torch.cuda.device_count()))
    return tuple(sorted({10 * major + minor for major, minor in devices}))


def _known_capabilities(nvcc: str) -> tuple[int, ...]:
    listed = re.findall(r"compute_(\d+)\b", run([nvcc, "--list-gpu-arch"]))
    if not listed:
        raise BuildError(f"{nvcc} --list-gpu-arch lists no architecture")
    return tuple(sorted(map(int, listed)))


def _nvcc_version(nvcc: str) -> str:
    match = re.search(r"release (\d+\.\d+)", run([nvcc, "--version"]))
    if match is None:
        raise BuildError(f"{nvcc} --version names no release")
    return match[1]


def choose_target(capabilities: Collection[int]) -> CudaTarget:
    """Choose what to build CUDA kernels for, out of what nvcc knows.

    A device gets machine code of the newest architecture that nvcc knows and that runs on it. A
    device whose whole generation is newer than nvcc gets the PTX of the newest known one.

    Args:
        capabilities: Those of the devices; with none the usual architectures are chosen.

    Raises:
        ToolMissingError: There is no nvcc for the CUDA of this torch.
        BuildError: nvcc knows no architecture that runs on one of the devices.
    """
    nvcc = find_nvcc()
    version = _nvcc_version(nvcc)
    major = int(version.partition(".")[0])
    if major != torch_cuda_major():
        raise ToolMissingError(
            f"{nvcc} is of CUDA {version}, but this torch is built with CUDA "
            f"{torch.version.cuda}: set CUDA_HOME to a toolkit of CUDA {torch_cuda_major()}"
        )
    known = _known_capabilities(nvcc)
    if not capabilities:
        usual = tuple(c for c in CUDA_ARCHITECTURES if c in known) or known[-1:]
        return CudaTarget(major, usual, usual[-1])
    binaries = tuple(sorted({_newest_for(c, known, version) for c in capabilities}))
    return CudaTarget(major, binaries, binaries[-1])


def _newest_for(capability: int, known: Sequence[int], version: str) -> int:
    possible = [number for number in known if number <= capability]
    if not possible:
        raise BuildError(
            f"nvcc {version} compiles for compute capability {_dotted(known[0])} and newer, and "
            f"not for {_dotted(capability)}"
        )
    same_generation = [number for number in possible if number // 10 == capability // 10]
    return (same_generation or possible)[-1]


def _dotted(capability: int) -> str:
    return f"{capability // 10}.{capability % 10}"
