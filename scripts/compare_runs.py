"""Compares the runs of a sweep: which configuration is best, and which runs are not done.

    python scripts/compare_runs.py SWEEP_DIR [--metric iou_chair] [--output DIR]

Prints a table, best run first, and writes it beside the runs as comparison.txt and comparison.csv,
with the metric against each swept parameter (comparison_parameters.png) and the validation curves
(comparison_curves.png). Runs that differ in nothing but `seed` are also shown as mean and standard
deviation. A run is finished, stopped, pruned, running, failed or interrupted.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import recon.entry_point  # noqa: F401  (before torch)

from recon.command_line import CommandParser, concise_errors
from recon.runs.sweeps.report import SweepReport
from recon.runs.sweeps.runs import read_sweep


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser(__doc__)
    parser.add_argument("folder", type=Path, metavar="SWEEP_DIR", help="the sweep's output_dir")
    parser.add_argument("--metric", default="iou", help="iou or iou_CATEGORY (iou)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write (SWEEP_DIR)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compares what the command line names."""
    args = parse(arguments)
    with concise_errors(raised_as=SystemExit):
        runs, bad = read_sweep(args.folder)
        report = SweepReport(runs, args.metric)
        files = report.write(args.output or args.folder, bad)
    print(report.text(bad))
    print("written:", *files, sep="\n  ")


if __name__ == "__main__":
    main()
