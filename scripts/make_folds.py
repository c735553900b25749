"""Writes files for cross-validation: those of fold k test on the k-th part of all objects.

    python scripts/make_folds.py data/debian.h5 --output data/folds [--folds 5]
    python train.py data.path=data/folds/fold0.h5 ...
    python eval.py checkpoint=RUN/checkpoints/best.pt ...

Each file is a copy with other splits, and as large: families of objects stay together, each object
is in the test split of one file, and validation takes half as many.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import recon.entry_point  # noqa: F401  (before torch)

from recon.arguments import PositiveInt, option_type
from recon.command_line import CommandParser, concise_errors
from recon.datasets.storage.hdf5 import open_dataset, read_texts
from recon.preparation.folds import write_folds
from recon.preparation.prepare import typed_command


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser(__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="made by scripts/prepare_data.py")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="for fold0.h5, fold1.h5, ..."
    )
    parser.add_argument(
        "--folds", type=option_type(PositiveInt), default=5, metavar="N", help="at least 2 (5)"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the files that the command line asks for."""
    args = parse(arguments)
    with concise_errors(raised_as=SystemExit):
        files = write_folds(args.file, args.folds, args.output, typed_command())
        for path in files:
            with open_dataset(path) as file:
                counts = Counter(read_texts(file, "splits"))
            print(f"{path}: " + ", ".join(f"{counts[s]} {s}" for s in ("train", "val", "test")))


if __name__ == "__main__":
    main()
