"""Make weights to share of a checkpoint: one small file, and its card.

    python scripts/export_weights.py CHECKPOINT --name NAME --command COMMAND
        [--data FILE [FILE ...]] [--result RESULT.json] [--output DIR]

writes NAME.safetensors, with parameters in float16, and NAME.md, which tells what the weights were
trained on, by whom these objects are, and how. Weights in recon/weights are part of the package:
every command takes them by their name. Export, evaluate with eval.py checkpoint=NAME, and export
again with --result: then the card has the table of the evaluation and images of the worst objects.
The same checkpoint gives the same weights to the byte.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import recon.entry_point  # noqa: F401  (before torch)

from recon.command_line import CommandParser, concise_errors
from recon.datasets.framing import framing_of
from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.model_card import (
    SHAREABLE,
    model_card,
    read_training_files,
    require_result_of,
    training_paths,
    worst_objects,
)
from recon.evaluation.reconstructions import reconstructions_sheet
from recon.evaluation.result import EvaluationResult
from recon.files import atomic_file, write_text
from recon.runs.shipped_models import SUFFIX, weights_folder
from recon.runs.trained_models import TrainedModel, load_trained_model
from recon.runs.weight_files import save_weights

# Bytes of a file of weights, so that the package stays small.
LARGEST = 12_000_000


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser(__doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="of a training run")
    parser.add_argument("--name", required=True, help="letters, digits, _ and -")
    parser.add_argument("--command", required=True, help="the command that trained the model")
    parser.add_argument(
        "--data", nargs="+", metavar="FILE", help="what it was trained on (as the checkpoint says)"
    )
    parser.add_argument("--result", type=Path, metavar="FILE", help="result.json of eval.py")
    parser.add_argument(
        "--licences",
        nargs="+",
        default=list(SHAREABLE),
        help=f"that the training objects may have ({' '.join(SHAREABLE)})",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="(recon/weights)")
    args = parser.parse_args(arguments)
    if not re.fullmatch(r"[\w-]+", args.name):
        parser.error(f"--name must have letters, digits, _ and - alone, got {args.name!r}")
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Exports the checkpoint that the command line names."""
    args = parse(arguments)
    with concise_errors(raised_as=SystemExit):
        for path in export(args):
            print(f"{path}: {path.stat().st_size:,} bytes")


def export(args: argparse.Namespace) -> list[Path]:
    """Writes the weights, the card and the image of failures; returns the files."""
    trained = load_trained_model(args.checkpoint)
    config = trained.checkpoint["config"]
    paths = args.data or training_paths(config)
    if not paths:
        raise ValueError(f"{args.checkpoint} does not say what it was trained on; give --data FILE")
    files = read_training_files(paths, config, args.licences)
    folder = args.output or weights_folder()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{args.name}{SUFFIX}"
    result = None if args.result is None else EvaluationResult.read(args.result)
    framing = framing_of(trained.checkpoint).plain()
    save_weights(target, trained.model, {**trained.checkpoint, "framing": framing}, LARGEST)
    shared = load_trained_model(target)
    failures = None
    if result is not None:
        require_result_of(result, [target, trained.path])
        failures = draw_failures(shared, result, folder / f"{args.name}_failures.png")
    card = folder / f"{args.name}.md"
    name = None if failures is None else failures.name
    write_text(card, model_card(args.name, shared, args.command, files, result, name))
    return [target, card, *([] if failures is None else [failures])]


def draw_failures(trained: TrainedModel, result: EvaluationResult, path: Path) -> Path:
    """Draws the worst objects of an evaluation from the data it names."""
    settings = result.about.get("settings") or {}
    data = MultiViewDataset(
        list(result.about["data"]), settings.get("split"), settings.get("categories")
    )
    worst = worst_objects(result, data)
    sheet = reconstructions_sheet(data, worst, {"prediction": trained.model})
    with atomic_file(path) as file:
        sheet.save(file, format="PNG", optimize=True)
    return path


if __name__ == "__main__":
    main()
