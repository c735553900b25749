"""Trains the network that finds objects before backgrounds which are not plain.

    python scripts/train_segmentation.py data/debian.h5 data/generated.h5 \\
        --output recon/segmentation/weights.safetensors [--steps 4000]

It learns from the training splits of the files and is scored on the validation splits of those that
have one; no other annotation is needed, as the masks of the objects are known. A training that
broke off goes on from FILE.checkpoint, beside the output, when its command is typed again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import recon.entry_point  # noqa: F401  (before torch)

import safetensors.torch

from recon.arguments import PositiveInt, Seed, option_type
from recon.command_line import CommandParser, concise_errors
from recon.datasets.multiview import MultiViewDataset
from recon.files import atomic_file
from recon.segmentation.training import random_views, train_segmentation


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser(__doc__)
    count = option_type(PositiveInt)
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="made by scripts/prepare_data.py"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help=".safetensors")
    parser.add_argument("--steps", type=count, default=4000, metavar="N", help="(4000)")
    parser.add_argument("--batch-size", type=count, default=32, metavar="N", help="(32)")
    parser.add_argument(
        "--images",
        type=count,
        default=6000,
        metavar="N",
        help="of each file, kept in memory (6000)",
    )
    parser.add_argument(
        "--licences", nargs="+", metavar="LICENCE", help="take only objects of these licences"
    )
    parser.add_argument("--seed", type=option_type(Seed), default=0, metavar="N", help="(0)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains and writes the network that the command line asks for."""
    args = parse(arguments)
    with concise_errors(raised_as=SystemExit):
        checkpoint = args.output.with_name(f"{args.output.name}.checkpoint")
        kept = {"licences": args.licences}
        train = [MultiViewDataset(path, "train", **kept) for path in args.files]
        val = [
            MultiViewDataset(path, "val", **kept)
            for path in args.files
            if "val" in MultiViewDataset(path).splits
        ]
        network, score = train_segmentation(
            random_views(train, args.images, args.seed),
            random_views(val or train, 512, args.seed + 1),
            args.steps,
            args.batch_size,
            seed=args.seed,
            checkpoint=checkpoint,
        )
        tensors = {
            name: value.half() if value.is_floating_point() else value
            for name, value in network.state_dict().items()
        }
        content = safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()})
        with atomic_file(args.output) as file:
            file.write(content)
        checkpoint.unlink(missing_ok=True)  # the same command may have ended beside this one
    where = "validation" if val else "training"
    print(f"{args.output}: mean IoU {score:.3f} on {where} objects, {len(content) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
