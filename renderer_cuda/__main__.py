"""`python -m renderer_cuda` tells which back ends there are; `... build [cpu] [cuda]` builds."""

from __future__ import annotations

import sys

from renderer_cuda import build


def _report() -> int:
    for back_end in build.BACK_ENDS:
        reason = build.load(back_end)
        print(f"{back_end:5} {'available' if not reason else 'not available: ' + reason}")
    print("reference (pure torch) available")
    return 0


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


def main(arguments: list[str]) -> int:
    """Run the command line and return its exit status."""
    if not arguments:
        return _report()
    if arguments[0] == "build":
        return _build(arguments[1:])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
