"""Counts how many seeded starts lead to the pose of a known mesh in one image.

    python scripts/benchmarks/benchmark_pose.py OUTPUT_DIR \
        [--objects cube FILE] [--methods fixed channels ...]
    python scripts/benchmarks/benchmark_pose.py OUTPUT_DIR --landscape

A problem is solved when its rotation ends within 10 degrees of the truth. Methods: `fixed`, RGB
with sigma and gamma at rest, as published; `scheduled`, the same loss with both falling;
`channels`, recon.fitting.pose.fitter.PoseFitter; `opaque`, that without looking through the mesh;
`moved`, that with an unknown translation, too; `multi`, that from several starts, of which the
least loss counts.

Writes table.md, table.csv, errors.json and an image of the first problems after each row. Rows
which a folder has are not measured again, so that an interrupted command goes on when it is typed
again.
"""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import recon.entry_point  # noqa: F401  (before torch)

from PIL import Image
from pose_cases import (
    SHIFT,
    Method,
    Problems,
    make_methods,
    make_problems,
    object_label,
    read_object,
)
from pose_images import draw_solutions
from pose_landscape import write_landscape
from tqdm import tqdm

from recon.arguments import Angle, ImageSide, Seed, StartCount, option_type
from recon.command_line import CommandParser, Interruption, concise_errors
from recon.files import atomic_file
from recon.fitting.pose.fitter import Poses
from recon.geometry.meshes import Mesh
from recon.geometry.rotations import rotation_distance
from recon.runs.directory import read_json, write_json
from recon.visualization.draw import save_png

SOLVED = 10.0  # degrees
# Le Lidec et al., NeurIPS 2021, table 2: percent of starts at 20, 50 and 80 degrees.
PUBLISHED = {
    "published, SoftRas": {20: 84, 50: 75, 80: 55},
    "published, best smoothing": {20: 93, 50: 84, 80: 67},
}

Row = dict[str, Any]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser(__doc__)
    parser.add_argument("output_dir", type=Path, help="where results are written, and kept")
    parser.add_argument(
        "--objects",
        nargs="+",
        default=["cube", "figure"],
        metavar="NAME",
        help="cube, figure, or a mesh file; ARCHIVE!FILE in a zip",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        default=["fixed", "scheduled", "opaque", "channels", "moved"],
        metavar="NAME",
    )
    parser.add_argument("--degrees", nargs="+", type=option_type(Angle), default=[20.0, 50.0, 80.0])
    parser.add_argument(
        "--problems",
        type=option_type(StartCount),
        default=100,
        metavar="N",
        help="of each kind (100)",
    )
    parser.add_argument("--image-size", type=option_type(ImageSide), default=128)
    parser.add_argument(
        "--starts", type=option_type(StartCount), default=8, help="of the method `multi` (8)"
    )
    parser.add_argument("--seed", type=option_type(Seed), default=1)
    parser.add_argument("--landscape", action="store_true", help="draw landscape.png, no more")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what the command line asks for."""
    args = parse(arguments)
    folder: Path = args.output_dir
    with concise_errors(raised_as=SystemExit), Interruption() as interruption:
        if args.landscape:
            folder.mkdir(parents=True, exist_ok=True)
            lines = write_landscape(folder, args.seed, interruption)
            print(f"{lines}\nwritten to {folder}")
        else:
            rows = measure(args, interruption)
            print(f"\n{table(rows)}\nwritten to {folder}" if rows else "nothing was measured")
    if interruption.signum is not None:
        print("interrupted: these are the results so far")
        raise SystemExit(interruption.exit_status)


def measure(args: argparse.Namespace, interruption: Interruption) -> list[Row]:
    """Solves the problems of every object by every method, and writes all after each row."""
    methods = make_methods(args.methods, args.starts, args.seed)
    meshes = {object_label(name): read_object(name) for name in args.objects}
    settings = {name: getattr(args, name) for name in ("problems", "image_size", "seed")}
    rows = known_rows(args.output_dir, settings)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    kinds = [(mesh, name, d) for mesh in meshes for name in methods for d in args.degrees]
    for label, name, degrees in tqdm(kinds, desc="rows", disable=None):
        starts = args.starts if name == "multi" else 1
        if any(row_key(row) == (label, name, degrees, starts) for row in rows):
            continue
        row, image = solve(
            meshes[label], methods[name], name == "moved", degrees, args, interruption
        )
        if interruption.signum is not None:
            break
        rows.append({"object": label, "method": name, "degrees": degrees, "starts": starts, **row})
        print(sentence(rows[-1]), flush=True)
        write(args.output_dir, settings, rows)
        save_png(args.output_dir / f"{label}_{name}_{degrees:g}.png", image)
    return rows


def known_rows(folder: Path, settings: dict[str, Any]) -> list[Row]:
    """Returns the rows that a folder has.

    Raises:
        ValueError: The rows were measured with another configuration, or the file is not one of
            this command.
    """
    path = folder / "errors.json"
    if not path.exists():
        return []
    content = read_json(path)
    if content.get("settings") != settings:
        raise ValueError(
            f"{path} is of other settings: {content.get('settings')}, now {settings};"
            " name another folder"
        )
    return list(content["rows"])


def row_key(row: Row) -> tuple[str, str, float, int]:
    """Returns what tells a row from others."""
    return row["object"], row["method"], row["degrees"], row["starts"]


def solve(
    mesh: Mesh,
    method: Method,
    moves: bool,
    degrees: float,
    args: argparse.Namespace,
    interruption: Interruption,
) -> tuple[Row, Image.Image]:
    """Solves the problems of one object by one method from one distance, or some before a signal.

    Returns the row and an image of the first problems.
    """
    # Other problems at every distance, but the same ones for every method.
    seed = 1000 * args.seed + round(degrees)
    shift = SHIFT * float(mesh.vertices.abs().max()) if moves else 0.0
    problems = make_problems(mesh, args.problems, degrees, seed, args.image_size, shift)
    row: Row = {"errors": [], "apart": []}
    first: tuple[Problems, Poses] | None = None
    start = time.perf_counter()
    for part in problems.parts():
        poses = method(part, interruption)
        first = first or (part, poses)
        row["errors"] += rotation_distance(poses.rotation, part.truth.rotation).tolist()
        row["apart"] += (poses.translation - part.truth.translation).norm(dim=1).tolist()
        if interruption.signum is not None:
            break
    row["seconds"] = time.perf_counter() - start
    assert first is not None  # there is a problem
    return row, draw_solutions(*first)


def write(folder: Path, settings: dict[str, Any], rows: Sequence[Row]) -> None:
    """Writes everything that is known."""
    write_json(folder / "errors.json", {"settings": settings, "rows": rows})
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(
        ("object", "method", "starts", "degrees", "problems", "solved", "median", "seconds")
    )
    for row in rows:
        count, median = len(row["errors"]), f"{statistics.median(row['errors']):.4f}"
        solved, seconds = f"{percent(row['errors']):.1f}", f"{row['seconds']:.1f}"
        kind = (row["object"], row["method"], row["starts"], row["degrees"])
        lines.writerow((*kind, count, solved, median, seconds))
    for name, content in (("table.csv", text.getvalue()), ("table.md", table(rows) + "\n")):
        with atomic_file(folder / name) as file:
            file.write(content.encode())


def percent(errors: Sequence[float]) -> float:
    """Returns the percentage of errors that count as solved."""
    return 100 * sum(error < SOLVED for error in errors) / len(errors)


def sentence(row: Row) -> str:
    """Returns one row in words."""
    return (
        f"{row['object']} {row['method']} {row['degrees']:g}: {percent(row['errors']):.0f} %"
        f" solved, median {statistics.median(row['errors']):.2f} degrees, {row['seconds']:.0f} s"
    )


def table(rows: Sequence[Row]) -> str:
    """Returns percentages of solved problems, and medians of the error, as Markdown."""
    degrees = sorted({row["degrees"] for row in rows})
    lines = [
        f"{len(rows[0]['errors'])} problems each; percent solved (median error in degrees)\n",
        "| object | method | " + " | ".join(f"{d:g}°" for d in degrees) + " | seconds |",
        "|---|---|" + "---|" * (len(degrees) + 1),
    ]
    cubes = any(row["object"] == "cube" for row in rows)
    for name, solved in PUBLISHED.items() if cubes else ():
        cells = [str(solved.get(round(d), "")) for d in degrees]
        lines.append(f"| cube | {name} | " + " | ".join(cells) + " | |")
    for key in dict.fromkeys((row["object"], row["method"], row["starts"]) for row in rows):
        mine = {
            row["degrees"]: row
            for row in rows
            if (row["object"], row["method"], row["starts"]) == key
        }
        cells = [cell(mine[d]) if d in mine else "" for d in degrees]
        method = key[1] if key[2] == 1 else f"{key[1]}, {key[2]} starts"
        seconds = sum(row["seconds"] for row in mine.values())
        lines.append(f"| {key[0]} | {method} | " + " | ".join(cells) + f" | {seconds:.0f} |")
    return "\n".join(lines)


def cell(row: Row) -> str:
    """Returns what a table shows of one row."""
    return f"{percent(row['errors']):.0f} ({statistics.median(row['errors']):.2f})"


if __name__ == "__main__":
    main()
