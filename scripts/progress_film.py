"""Makes a film of a training run: what it made of the same objects at every validation.

    python scripts/progress_film.py RUN [--output FILE.gif] [--seconds N]

RUN is the output_dir of train.py. Works while the run goes on, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import recon.entry_point  # noqa: F401  (before torch)

from recon.arguments import Seconds, option_type
from recon.command_line import CommandParser, concise_errors
from recon.training.progress_film import film


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser(__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory")
    parser.add_argument("--output", type=Path, metavar="FILE", help="a .gif (RUN/progress.gif)")
    parser.add_argument(
        "--seconds", type=option_type(Seconds), default=8.0, help="of one showing (8)"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Makes the film that the command line names."""
    args = parse(arguments)
    target = args.output or args.run / "progress.gif"
    with concise_errors(raised_as=SystemExit):
        frames = film(args.run, target, args.seconds)
    print(f"{frames} frames: {target}")


if __name__ == "__main__":
    main()
