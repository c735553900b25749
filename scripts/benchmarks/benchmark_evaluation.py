"""Measures where the time of an evaluation goes, by the clock and by the processor.

    python scripts/benchmarks/benchmark_evaluation.py \
        [--objects 1000] [--threads 2] [--metrics softras]

The file has generated shapes, again and again until there are enough objects, with 24 views each;
the network is that of the SoftRas experiment with untrained weights, which costs what trained ones
do. Another file and model: --data FILE --checkpoint FILE. --train N gives the file N objects to
train on, and the evaluation its baselines. --compare-bfloat16 evaluates a second time in bfloat16
and tells what that changes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import recon.entry_point  # noqa: F401  (before torch)

import numpy as np
import torch
from benchmark_rasterizer import Columns, Row, describe, print_table

from recon.arguments import BatchSize, NonNegativeInt, ObjectCount, ThreadCount, option_type
from recon.command_line import CommandParser, concise_errors
from recon.compute import PRECISIONS, computing_in
from recon.datasets.storage.hdf5 import Header, Labels, write_dataset
from recon.datasets.storage.layout import ObjectArrays
from recon.evaluation.model_evaluation import EvaluationConfig, ModelEvaluation
from recon.evaluation.result import MODEL, EvaluationResult
from recon.evaluation.scoring import predict_views
from recon.evaluation.tables import write_tables
from recon.geometry.voxels import voxelize_mesh
from recon.metrics import voxel_iou
from recon.models import MeshDecoder, Reconstructor, SoftRasEncoder
from recon.preparation.rendering.objects import ObjectRenderer, RenderedSource
from recon.preparation.sources.shapes import ShapesSource
from recon.runs.checkpoints import save_checkpoint, seed_everything
from recon.runs.trained_models import load_trained_model
from recon.timing import StepTimer

COLUMNS: Columns = {
    "part": ("part", 26, "s"),
    "wall": ("wall s", 8, ".2f"),
    "cpu": ("cpu s", 8, ".2f"),
    "share": ("of wall", 8, ".1%"),
    "per_view": ("us/view", 8, ".0f"),
}
# Different objects of each of the thirteen categories.
PER_CATEGORY = 2
# Views of which voxelisation and IoU are measured apart.
SAMPLE_VIEWS = 480


class Stopwatch(StepTimer):
    """Adds up the seconds of parts by the clock and by the processor."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.wall: dict[str, float] = defaultdict(float)
        self.cpu: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Adds the time of the block to `name`."""
        wall, cpu = self._now(), time.process_time()
        yield
        self.wall[name] += self._now() - wall
        self.cpu[name] += time.process_time() - cpu


def make_file(path: Path, test: int, train: int) -> None:
    """Writes a file with so many objects to test and to train on, out of a few different ones."""
    source = RenderedSource(ShapesSource(objects_per_category=PER_CATEGORY), ObjectRenderer())
    entries = source.objects()
    objects = [source.arrays(entry) for entry in entries]
    labels = [
        Labels(
            f"{split}-{number}",
            entries[number % len(entries)].name,
            entries[number % len(entries)].synset,
            "",
            split,
            "CC0-1.0",
        )
        for split, count in (("test", test), ("train", train))
        for number in range(count)
    ]

    def repeated() -> Iterator[ObjectArrays]:
        for label in labels:
            yield objects[int(label.id.partition("-")[2]) % len(objects)]

    header = Header("shapes", "scripts/benchmarks/benchmark_evaluation.py", {}, {}, {})
    write_dataset(path, header, source.layout(), labels, repeated())


def make_checkpoint(path: Path) -> None:
    """Writes a checkpoint of the SoftRas network as it begins."""
    seed_everything(0)
    model = Reconstructor(SoftRasEncoder(), MeshDecoder())
    parts = {"encoder": "SoftRasEncoder", "decoder": "MeshDecoder"}
    settings = {name: {"_target_": f"recon.models.{kind}"} for name, kind in parts.items()}
    config = {"model": {"_target_": "recon.models.Reconstructor", **settings}}
    content = {"model": model.state_dict(), "optimizer": {}, "step": 0, "config": config}
    save_checkpoint(path, content)


def measure(
    args: argparse.Namespace, data: str, checkpoint: Path, folder: Path, precision: str
) -> tuple[ModelEvaluation, EvaluationResult, Stopwatch]:
    """Evaluates once, with everything that eval.py does of tables."""
    device = torch.device(args.device)
    watch = Stopwatch(device)
    config = EvaluationConfig(args.metrics, baselines=args.train > 0, batch_size=args.batch_size)
    with watch.part("all"), computing_in(PRECISIONS[precision], device):
        with watch.part("opening, fingerprints"):
            trained = load_trained_model(checkpoint)
            evaluation = ModelEvaluation(config, trained, data, folder, device, None, watch)
        with watch.part("run"):
            result = evaluation.run()
        with watch.part("tables"):
            write_tables(folder, result)
    return evaluation, result, watch


def report(
    watch: Stopwatch, evaluation: ModelEvaluation, result: EvaluationResult
) -> Iterator[Row]:
    """Yields a row for each part; `means, intervals` is what is left of the run."""
    baselines = ["baselines"] if evaluation.config.baselines else []
    inner = ["reading", "network", *evaluation.config.metrics, *baselines, "rows"]
    for times in (watch.wall, watch.cpu):
        times["means, intervals, rest"] = times["run"] - sum(times[name] for name in inner)
    views = len(result.objects) * len(result.objects[0].views)
    names = ["opening, fingerprints", *inner, "means, intervals, rest", "tables", "all"]
    for name in names:
        wall = watch.wall[name]
        yield {
            "part": name,
            "wall": wall,
            "cpu": watch.cpu[name],
            "share": wall / watch.wall["all"],
            "per_view": 1e6 * wall / views,
        }


def split_softras(evaluation: ModelEvaluation) -> str:
    """Returns how the time of the softras metric divides, measured on a part of the views."""
    data, views, model = evaluation.data, evaluation.views, evaluation.model
    objects = range(min(len(data), max(1, SAMPLE_VIEWS // len(views))))
    watch = Stopwatch(next(model.parameters()).device)
    vertices = predict_views(model, data, objects, views).vertices.flatten(0, 1)
    faces: torch.Tensor = model.faces  # type: ignore[assignment]
    for _ in range(3):
        with watch.part("true voxels"):
            truth = torch.stack([data.voxels(index) for index in objects])
            repeated = truth.repeat_interleave(len(views), dim=0)
        with watch.part("voxelisation"):
            voxels = voxelize_mesh(vertices, faces, data.voxel_resolution).cpu()
        with watch.part("IoU"):
            voxel_iou(voxels, repeated)
    total = sum(watch.wall.values())
    shares = ", ".join(f"{name} {value / total:.0%}" for name, value in watch.wall.items())
    return f"of softras: {shares}"


def compare(first: EvaluationResult, second: EvaluationResult) -> str:
    """Returns how much the IoU of two evaluations of the same model differs."""
    key = first.metrics[0].key
    pairs = np.array([first.values(MODEL, key), second.values(MODEL, key)])
    change = pairs[1] - pairs[0]
    return (
        f"bfloat16 - float32, {key}: mean {change.mean():+.2e}, standard deviation over objects "
        f"{change.std():.1e}, largest {np.abs(change).max():.1e}"
    )


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser((__doc__ or "").split("\n")[0])
    parser.add_argument("--objects", type=option_type(ObjectCount), default=1000)
    parser.add_argument(
        "--train",
        type=option_type(NonNegativeInt),
        default=0,
        help="objects to train on; 0: no baselines",
    )
    parser.add_argument("--metrics", nargs="+", default=["softras"])
    parser.add_argument("--batch-size", type=option_type(BatchSize), default=512)
    parser.add_argument("--threads", type=option_type(ThreadCount), default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--data", metavar="FILE", help="instead of generated shapes")
    parser.add_argument("--checkpoint", metavar="FILE", help="instead of untrained weights")
    parser.add_argument("--compare-bfloat16", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Prints a row for each part of an evaluation, and returns the rows."""
    args = parse_arguments(arguments)
    torch.set_num_threads(args.threads)
    print(f"{describe(args.device)}, torch {torch.__version__}, {args.threads} threads")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = args.data or str(folder / "objects.h5")
        if args.data is None:
            make_file(Path(data), args.objects, args.train)
        checkpoint = Path(args.checkpoint or folder / "model.pt")
        if args.checkpoint is None:
            make_checkpoint(checkpoint)
        run = measure(args, data, checkpoint, folder / "float32", "float32")
        evaluation, result, watch = run
        print(f"{len(result.objects)} objects x {len(result.objects[0].views)} views\n")
        rows = print_table(report(watch, evaluation, result), COLUMNS)
        if "softras" in args.metrics:
            print(split_softras(evaluation))
        if args.compare_bfloat16:
            run = measure(args, data, checkpoint, folder / "bfloat16", "bfloat16")
            print_table(report(run[2], run[0], run[1]), COLUMNS)
            print(compare(result, run[1]))
    return rows


if __name__ == "__main__":
    with concise_errors(raised_as=SystemExit):
        main()
