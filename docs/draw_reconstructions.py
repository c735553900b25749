"""Draw the image of the README: what two models make of the first test objects of the categories.

    python docs/draw_reconstructions.py MODEL OTHER --data FILE [--output IMAGE] [--objects N]
        [--titles "this model" "the paper's"]

MODEL and OTHER are checkpoints or names of shipped models. The objects are chosen by rule: the
first one of each category that the test split has, in the order of the thirteen categories. Every
one is seen in view 3, which shows the front and one side.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from recon.command_line import concise_errors
from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.examples import pick_examples
from recon.evaluation.reconstructions import reconstructions_sheet
from recon.files import atomic_file
from recon.runs.trained_models import load_trained_model

OUTPUT = Path(__file__).resolve().parent / "reconstructions.png"
OBJECTS = 8
TITLES = ("this model", "paper's recipe")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs=2, metavar="MODEL", help="a checkpoint or a shipped model")
    parser.add_argument("--data", nargs="+", required=True, metavar="FILE", help="a prepared file")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="IMAGE")
    parser.add_argument("--objects", type=int, default=OBJECTS, help=f"rows ({OBJECTS})")
    parser.add_argument("--titles", nargs=2, default=TITLES, help="of the two models")
    args = parser.parse_args(arguments)
    if args.objects < 1:
        parser.error(f"--objects must be >= 1, got {args.objects}")
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Draws the image that the command line asks for."""
    args = parse(arguments)
    with concise_errors(raised_as=SystemExit):
        models = {
            title: load_trained_model(name).model
            for title, name in zip(args.titles, args.models, strict=True)
        }
        if len(models) < 2:
            raise ValueError(f"--titles must differ, got {args.titles[0]!r} twice")
        data = MultiViewDataset(args.data, "test")
        sheet = reconstructions_sheet(data, pick_examples(data, args.objects), models)
        with atomic_file(args.output) as file:
            sheet.save(file, format="PNG", optimize=True)
    print(f"{args.output}: {args.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
