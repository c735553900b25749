"""Tells what is in prepared data sets and draws contact sheets of it.

    python scripts/inspect_data.py FILE [FILE ...] [--sample N] [--output IMAGE] [--cameras]
    python scripts/inspect_data.py FILE [FILE ...] --verify

Beside every file a contact sheet FILE.preview.png shows some objects of every category; with
--cameras, FILE.cameras.png shows silhouettes of voxels (or of visual hulls) through the cameras.
--verify reads every array and compares it with its checksum; it draws nothing, and the exit status
is 1 if anything is damaged.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import recon.entry_point  # noqa: F401  (before torch)

from recon.arguments import NonNegativeInt, option_type
from recon.command_line import CommandParser, concise_errors
from recon.datasets.storage.shards import find_files, open_shards
from recon.datasets.storage.verification import has_checksums, verify
from recon.preparation.checks.camera_sheet import write_camera_sheet
from recon.preparation.checks.preview import write_preview
from recon.preparation.inspection import describe, inspect_file, joint_table


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser(__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", help="or a pattern in quotes")
    parser.add_argument(
        "--sample", type=option_type(NonNegativeInt), default=20, metavar="N",
        help="objects per file whose images and voxels are looked at; 0 for all (20)",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, help="the contact sheet (FILE.preview.png)")
    parser.add_argument("--cameras", action="store_true", help="draw FILE.cameras.png, too")
    parser.add_argument("--verify", action="store_true", help="read all, compare all checksums")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Inspects the files of the command line."""
    args = parse(arguments)
    # Warnings about cameras are part of the printed text already.
    logging.basicConfig(level=logging.ERROR)
    with concise_errors(raised_as=SystemExit):
        files = find_files(args.files)
        if args.output is not None and len(files) > 1:
            raise ValueError(f"--output names one image, but there are {len(files)} files")
        if args.verify:
            require_intact(files)
            return
        facts = []
        for path in files:
            facts.append(inspect_file(path, args.sample))
            print(f"{describe(facts[-1])}\n", flush=True)
            print(f"  images: {write_preview(path, args.output)}")
            if args.cameras:
                print(f"  silhouettes: {write_camera_sheet(path)}")
        print(f"\nobjects per category and split\n{joint_table(facts)}")
        if len(files) > 1:
            report_shards(files)


def require_intact(files: Sequence[Path]) -> None:
    """Reads every array of some files, and prints what is damaged.

    Raises:
        ValueError: If something is damaged; all files are read before.
    """
    damaged = 0
    for path in files:
        found = _damage(path)
        print(f"{path}: {found or _intact(path)}")
        damaged += bool(found)
    if damaged:
        raise ValueError(f"{damaged} of {len(files)} files are damaged: make or copy them again")


def _damage(path: Path) -> str:
    try:
        return "; ".join(verify(path))
    except ValueError as error:
        return str(error)


def _intact(path: Path) -> str:
    if has_checksums(path):
        return "all checksums hold"
    return "everything can be read; earlier versions stored no checksums to compare with"


def report_shards(files: Sequence[Path]) -> None:
    """Prints why the files are not one data set, if they are not."""
    try:
        open_shards(files)
    except ValueError as error:
        print(f"\nthese files are not one data set: {error}")


if __name__ == "__main__":
    main()
