"""Repeats a step that was skipped: python scripts/replay_step.py outputs/run/dumps/step_N.pt"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import recon.entry_point  # noqa: F401  (before torch)

from hydra.utils import instantiate

from recon.command_line import CommandParser, concise_errors
from recon.runs.checkpoints import load_checkpoint, require_targets
from recon.training.start import build_trainer
from recon.training.trainer import Trainer

# What a dump may name; a file from elsewhere could else run any code.
ALLOWED = ("recon.", "torch.optim.")


def main() -> None:
    """Computes the losses and gradients of a dump again, and tells which are not finite."""
    parser = CommandParser(__doc__)
    parser.add_argument("dump", type=Path)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--precision", help="instead of that of the run: float32, bfloat16")
    parser.add_argument(
        "--allow",
        metavar="PACKAGE.",
        action="append",
        default=[],
        help="a package of your own, whose model, losses or schedules the dump names",
    )
    arguments = parser.parse_args()
    with concise_errors(raised_as=SystemExit):
        replay(arguments.dump, arguments.device, arguments.precision, arguments.allow)


def replay(path: Path, device: str, precision: str | None, allow: list[str]) -> None:
    """Prints what the step computed then and now."""
    dump = load_checkpoint(path)
    if "batch" not in dump:
        raise ValueError(f"{path} is no dump of a step: it has no batch")
    try:
        require_targets(
            {k: v for k, v in dump["config"].items() if k != "data"}, (*ALLOWED, *allow)
        )
    except ValueError as error:
        raise ValueError(f"{error}; --allow PACKAGE. allows your own") from error
    trainer = build(dump["config"], dump["lighting"], device, precision)
    losses, broken = trainer.replay(dump)
    print(f"step {dump['step'] + 1}")
    print(f"{'':<16}{'then':>14}{'now':>14}")
    for name, value in losses.items():
        print(f"{name:<16}{dump['terms'].get(name, float('nan')):>14.6g}{value:>14.6g}")
    print(f"gradients which are not finite: {', '.join(broken) if broken else 'none'}")


def build(
    config: dict[str, Any], light: dict[str, Any] | None, device: str, precision: str | None
) -> Trainer:
    """Builds the trainer of a run without its data, but with the light of these."""
    changes = {"device": device, "validate_every": 0, "compile": False, "stopping": None}
    if precision is not None:
        changes["precision"] = precision
    config = {**config, "trainer": {**config["trainer"], **changes}}
    objective = partial(
        instantiate(config["loss"]), data_configs=[{"rendering": {"lighting": light}}]
    )
    data = {"train_set": None, "val_set": None}
    return build_trainer(config, instantiate, data=False, objective=objective, **data)


if __name__ == "__main__":
    main()
