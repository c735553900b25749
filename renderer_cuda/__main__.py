"""Tells which back ends there are, and builds them.

python -m renderer_cuda                        which there are, where, and if not, why
python -m renderer_cuda build [cpu] [cuda]     builds the named, or all this machine has tools for
python -m renderer_cuda prebuild FOLDER        writes into FOLDER the libraries for a wheel
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from renderer_cuda import build


def _report() -> int:
    for back_end in build.BACK_ENDS:
        reason = build.load(back_end)
        print(f"{back_end:5} {'not available: ' + reason if reason else _describe(back_end)}")
    print("reference (pure torch) available")
    return 0


def _describe(back_end: str) -> str:
    origin = "prebuilt" if build.find_prebuilt(back_end) else "built here"
    library = build.build(back_end)
    instructions = f", {_instruction_set(library)}" if back_end == "cpu" else ""
    return f"available, {origin}{instructions}: {library}"


def _instruction_set(library: Path) -> str:
    """Return the name of the instruction set whose kernels run on this processor."""
    name = ctypes.CDLL(str(library)).renderer_cuda_instruction_set
    name.restype = ctypes.c_char_p
    return bytes(name()).decode()


def _build(back_ends: list[str]) -> int:
    """Build the named back ends; without names all that this machine has the tools for."""
    status = 0
    for back_end in back_ends or build.BACK_ENDS:
        try:
            print(build.build(back_end))
        except (build.BuildError, ValueError) as error:
            print(f"{back_end}: not built: {error}", file=sys.stderr)
            status = 1 if back_ends else status
    return status


def _prebuild(folder: Path) -> int:
    """Write the libraries for a wheel; CUDA's may be missing where the tools for it are."""
    status = 0
    for back_end in build.BACK_ENDS:
        try:
            print(build.prebuild(back_end, folder))
        except build.BuildError as error:
            print(f"{back_end}: not in the wheel: {error}", file=sys.stderr)
            optional = back_end == "cuda" and isinstance(error, build.ToolMissingError)
            status = status if optional else 1
    return status


def main(arguments: list[str]) -> int:
    """Run the command line and return its exit status."""
    match arguments:
        case []:
            return _report()
        case ["build", *back_ends]:
            return _build(back_ends)
        case ["prebuild", folder]:
            return _prebuild(Path(folder))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
