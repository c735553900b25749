"""Makes a film of a training run: what it made of the same objects at every validation.

    python scripts/progress_film.py RUN [--output FILE.gif] [--seconds N]

RUN is the output_dir of train.py. Works while the run goes on, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import recon.entry_point  # noqa: F401  (before torch)

from recon.command_line import concise_errors
from recon.training.progress_film import film


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory")
    parser.add_argument("--output", type=Path, metavar="FILE", help="a .gif (RUN/progress.gif)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of one showing (8)")
    args = parser.parse_args(arguments)
    if not args.seconds > 0:
        parser.error(f"--seconds must be > 0, got {args.seconds}")
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Makes the film that the command line names."""
    args = parse(arguments)
    target = args.output or args.run / "progress.gif"
    with concise_errors(raised_as=SystemExit):
        frames = film(args.run, target, args.seconds)
    print(f"{frames} frames: {target}")


if __name__ == "__main__":
    main()
