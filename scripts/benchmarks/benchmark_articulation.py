"""Measures how well the joints of seeded poses of the humanoid are found in single images.

    python scripts/benchmarks/benchmark_articulation.py OUTPUT_DIR \
        [--poses 40] [--methods soft hard ...]

Every image hides a part. All fits begin in the middle of the limits of all joints, and the
translation is unknown. Methods: `soft`, that of
recon.fitting.articulation.fitter.ArticulationFitter; `pixels`, all
its steps in the second stage, without looking through the body first; `hard` and `hard pixels`,
the same steps as these, but of faces over each other the nearest alone counts; `one colour`, the
silhouette without known colours of the parts. In `shapes ignored` and `shapes found` the bodies
also differ by random blend shapes, whose coefficients are left at 0 or unknowns of the fit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import recon.entry_point  # noqa: F401  (before torch)

import torch
from torch import Tensor

from recon.arguments import ImageSide, PositiveInt, Seed, StartCount, option_type
from recon.command_line import CommandParser, concise_errors
from recon.files import csv_text, write_text
from recon.fitting.articulation.articulated_mesh import ArticulatedMesh
from recon.fitting.articulation.fitter import (
    COARSE,
    FINE,
    ArticulatedPoses,
    ArticulationFitter,
    middle_poses,
)
from recon.fitting.articulation.humanoid import humanoid_limits, make_humanoid
from recon.fitting.articulation.run import side_cameras
from recon.fitting.articulation.scores import (
    HIDDEN,
    Cases,
    angle_errors,
    place_errors,
    random_cases,
    visible_shares,
)
from recon.fitting.drawing import render_colors
from recon.fitting.stages import StagedFit
from recon.rendering.compositing import over_white
from recon.runs.directory import write_json
from recon.visualization.contact_sheet import contact_sheet
from recon.visualization.draw import save_png, to_pixels

CELL = 160  # pixels along a side of an image of the sheet
WITH_SHAPES = ("shapes ignored", "shapes found")
COLUMNS = ("all", "hidden in the image", "hidden at the start")


def fitters() -> dict[str, ArticulationFitter]:
    """Returns by the name of a method how it fits."""
    soft = ArticulationFitter()
    pixels = replace(COARSE, steps=0), replace(FINE, steps=COARSE.steps + FINE.steps)
    return {
        "soft": soft,
        "pixels": ArticulationFitter(*pixels),
        "hard": ArticulationFitter(blend="hard"),
        "hard pixels": ArticulationFitter(*pixels, blend="hard"),
        "one colour": soft,
        **dict.fromkeys(WITH_SHAPES, soft),
    }


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser(__doc__)
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("--methods", nargs="+", default=list(fitters()), choices=list(fitters()))
    parser.add_argument(
        "--poses", type=option_type(StartCount), default=40, metavar="N", help="of each method (40)"
    )
    parser.add_argument("--image-size", type=option_type(ImageSide), default=128)
    parser.add_argument("--seed", type=option_type(Seed), default=100)
    parser.add_argument(
        "--shown", type=option_type(PositiveInt), default=8, help="poses on the sheet of images (8)"
    )
    return parser.parse_args(arguments)


@dataclass(frozen=True, eq=False)
class Row:
    """The result of a method, beside the start of its fits.

    Args:
        name: The name of the method.
        body: The articulated mesh that was fitted.
        cases: The true poses with their images.
        found: The fitted poses.
        seconds: The duration of the fit in seconds.
    """

    name: str
    body: ArticulatedMesh
    cases: Cases
    found: ArticulatedPoses
    seconds: float

    def start(self) -> ArticulatedPoses:
        """Returns the poses with which the fit began."""
        return middle_poses(self.body, humanoid_limits(), len(self.found.angles))

    def groups(self) -> dict[str, Tensor]:
        """Returns by column of the table which joints [N, J] count."""
        visible = self.cases.visible
        size = self.cases.images.shape[-1]
        at_start = visible_shares(self.body, self.start(), self.cases.cameras, size)
        masks = (torch.ones_like(visible, dtype=torch.bool), visible < HIDDEN, at_start < HIDDEN)
        return dict(zip(COLUMNS, masks, strict=True))

    def summary(self) -> dict[str, Any]:
        """Returns means and medians of the errors before and after."""
        result: dict[str, Any] = {"method": self.name, "seconds": self.seconds}
        truth = self.cases.truth
        for when, poses in (("before", self.start()), ("after", self.found)):
            degrees = angle_errors(poses, truth)
            away = 100 * place_errors(self.body, poses, truth)
            for column, mask in self.groups().items():
                result[f"{column}, joints"] = int(mask.sum())
                result[f"{column}, mean degrees {when}"] = _mean(degrees[mask])
                result[f"{column}, median degrees {when}"] = _median(degrees[mask])
                result[f"{column}, mean % of height {when}"] = _mean(away[mask])
            off = (poses.coefficients - truth.coefficients).abs()
            result[f"coefficients off {when}"] = float(off.mean())
        return result


def _mean(values: Tensor) -> float | None:
    return float(values.mean()) if len(values) else None


def _median(values: Tensor) -> float | None:
    return float(values.median()) if len(values) else None


def run(name: str, args: argparse.Namespace) -> Row:
    """Fits all poses by one method."""
    body = make_humanoid()
    # The same poses for every method, but for those with blend shapes.
    cases = random_cases(body, args.poses, args.image_size, args.seed, name in WITH_SHAPES)
    fitted_body = body
    if name == "one colour":
        grey = torch.full((body.mesh.num_faces, 3), 0.5)
        fitted_body = replace(body, mesh=replace(body.mesh, face_colors=grey))
    began = time.perf_counter()
    found: StagedFit[ArticulatedPoses] = fitters()[name].fit(
        fitted_body,
        humanoid_limits(),
        cases.images,
        cases.cameras,
        reshape=name == "shapes found",
        every=None,
    )
    return Row(name, body, cases, found.state, time.perf_counter() - began)


def table(summaries: Sequence[dict[str, Any]]) -> str:
    """Returns errors after the fit, and before it in the first row, as Markdown."""
    lines = [
        "Degrees: mean (median); places of joints: % of the height of the body\n",
        "| method | joints | hidden in the image | hidden at the start"
        " | places | places, hidden in the image | coefficients | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    first = next((s for s in summaries if s["method"] not in WITH_SHAPES), summaries[0])
    shaped = next((s for s in summaries if s["method"] in WITH_SHAPES), None)
    lines.append(_line("start", first, "before", shaped))
    lines += [_line(s["method"], s, "after", s) for s in summaries]
    return "\n".join(lines)


def _line(
    name: str, summary: dict[str, Any], when: str, shaped: dict[str, Any] | None = None
) -> str:
    def cell(column: str, kind: str) -> str:
        value = summary[f"{column}, {kind} {when}"]
        return "-" if value is None else f"{value:.1f}"

    degrees = [f"{cell(c, 'mean degrees')} ({cell(c, 'median degrees')})" for c in COLUMNS]
    places = [cell(column, "mean % of height") for column in COLUMNS[:2]]
    has_shapes = shaped is not None and shaped["method"] in WITH_SHAPES
    off = f"{shaped[f'coefficients off {when}']:.2f}" if shaped and has_shapes else ""
    seconds = f"{summary['seconds']:.0f}" if when == "after" else ""
    return f"| {name} | " + " | ".join([*degrees, *places, off, seconds]) + " |"


def save_sheet(path: Path, row: Row, count: int) -> None:
    """Draws the first poses: image, start, and what was found from two sides."""
    truth, cameras = row.cases.truth, row.cases.cameras
    side = side_cameras(cameras)
    columns = {
        "image": (truth, cameras),
        "start": (row.start(), cameras),
        "found": (row.found, cameras),
        "found, side": (row.found, side),
        "truth, side": (truth, side),
    }
    images = [
        to_pixels(over_white(render_colors(row.body.mesh, poses.vertices(row.body), seen_by, CELL)))
        for poses, seen_by in columns.values()
    ]
    save_png(path, contact_sheet(list(zip(*images, strict=True))[:count], list(columns)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what the command line asks for."""
    args = parse(arguments)
    with concise_errors(raised_as=SystemExit):
        args.output_dir.mkdir(parents=True, exist_ok=True)
        summaries: list[dict[str, Any]] = []
        for name in args.methods:
            row = run(name, args)
            summaries.append(row.summary())
            print(_line(name, summaries[-1], "after", summaries[-1]), flush=True)
            save_sheet(args.output_dir / f"{name.replace(' ', '_')}.png", row, args.shown)
            # After every method, so that what is measured stays when the next one is interrupted.
            write(args, summaries)
    print(f"\n{table(summaries)}\nwritten to {args.output_dir}")


def write(args: argparse.Namespace, summaries: Sequence[dict[str, Any]]) -> None:
    """Writes the table as Markdown, CSV and JSON."""
    settings = {key: str(value) for key, value in vars(args).items()}
    write_text(args.output_dir / "table.md", table(summaries) + "\n")
    rows = [list(summaries[0]), *([*summary.values()] for summary in summaries)]
    write_text(args.output_dir / "table.csv", csv_text(rows))
    content = {"settings": settings, "threads": torch.get_num_threads(), "rows": summaries}
    write_json(args.output_dir / "result.json", content)


if __name__ == "__main__":
    main()
