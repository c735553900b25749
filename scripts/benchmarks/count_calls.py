"""Counts the calls into torch that rendering and the losses make in a training step.

    python scripts/benchmarks/count_calls.py \
        [--experiments softras_silhouette softras_color]

On a GPU the host bounds a training step, so each call counts (docs/scaling.md). One call is an
operation that torch's dispatcher hands to a kernel, or a change of a tensor's shape alone, which
the second column tells apart; functions made of several operations count as these. The backward
pass goes from the total loss to the vertices and colours that the network predicted. What the
network and the optimiser call is not counted. The numbers depend neither on the device nor on the
sizes of batch and images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import recon.entry_point  # noqa: F401  (before torch)

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from recon.command_line import CommandParser, concise_errors
from recon.geometry.cameras import shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.losses.objective import Objective
from recon.models import Prediction
from recon.rendering.interface import Renderer

CONFIGS = Path(__file__).parents[2] / "configs"
PARTS = ("render", "losses", "backward")
# As in the experiments of the paper, two views of each object.
OBJECTS, VIEWS = 2, 2


class CallCounter(TorchDispatchMode):
    """Counts the operations that are dispatched within its context, those of backward passes too.

    Attributes:
        calls: The number of operations.
        views: The number of those that only change the shape of a tensor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.views = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Counts an operation and runs it."""
        self.calls += 1
        self.views += func.is_view
        return func(*args, **(kwargs or {}))


def count_calls(
    renderer: Renderer, objective: Objective, prediction: Prediction, batch: Mapping[str, Tensor]
) -> dict[str, CallCounter]:
    """Counts the calls of one step, after one that fills the caches.

    Args:
        renderer: The renderer.
        objective: The objective.
        prediction: The meshes, whose vertices and colours require a gradient.
        batch: The batch as `Objective.forward` takes it.

    Returns:
        The counters of `PARTS`.
    """
    for _ in range(2):
        counters = {part: CallCounter() for part in PARTS}
        with counters["render"]:
            renderings = objective.render(renderer, prediction, batch["cameras"])
        with counters["losses"]:
            total = objective.total(objective(renderings, prediction, batch))
        inputs = [prediction.vertices]
        if prediction.colors is not None:
            inputs.append(prediction.colors)
        with counters["backward"]:
            torch.autograd.grad(total, inputs)
    return counters


def make_scene(cfg: DictConfig) -> tuple[Renderer, Objective, Prediction, dict[str, Tensor]]:
    """Makes the arguments of `count_calls` from the configuration of a training: jittered spheres.

    Raises:
        ValueError: The objective needs what is not here: light or maps of the data, or a camera
            head.
    """
    mesh = icosphere(1)
    generator = torch.Generator().manual_seed(0)
    meshes = OBJECTS * VIEWS
    renderer = instantiate(cfg.renderer)
    objective = instantiate(cfg.loss)(mesh.faces, mesh.num_vertices)
    if objective.needs("shading_map", "direction_logits", "directions", "true_directions"):
        raise ValueError("counting knows silhouettes and colours; the experiment has other terms")
    jitter = 0.02 * torch.randn(meshes, mesh.num_vertices, 3, generator=generator)
    colors = None
    if objective.needs("rgba", "colors"):
        corners = (
            (mesh.num_faces, objective.texels**2) if objective.texels else (len(mesh.vertices),)
        )
        colors = torch.rand(meshes, *corners, 3, generator=generator).requires_grad_()
    images = torch.rand(OBJECTS, VIEWS, 4, *renderer.image_size, generator=generator)
    cameras = shapenet_cameras(range(meshes)).rows().unflatten(0, (OBJECTS, VIEWS))
    prediction = Prediction((0.3 * mesh.vertices + jitter).requires_grad_(), colors)
    return renderer, objective, prediction, {"images": images, "cameras": cameras}


def main(arguments: Sequence[str] | None = None) -> None:
    """Counts and prints the calls of every experiment.

    Args:
        arguments: The command line; None is that of the process.
    """
    parser = CommandParser(__doc__)
    parser.add_argument(
        "--experiments",
        nargs="+",
        default=["softras_silhouette", "softras_color"],
        help="files of configs/experiment",
    )
    options = parser.parse_args(arguments)
    print("| experiment | part | calls | of these views |\n|---|---|--:|--:|")
    for experiment in options.experiments:
        with concise_errors(SystemExit):
            with initialize_config_dir(str(CONFIGS), version_base=None):
                cfg = compose("train", [f"experiment={experiment}"])
            counters = count_calls(*make_scene(cfg))
        for part, counter in counters.items():
            print(f"| {experiment} | {part} | {counter.calls} | {counter.views} |")
        calls, views = (
            sum(getattr(counter, name) for counter in counters.values())
            for name in ("calls", "views")
        )
        print(f"| {experiment} | all | {calls} | {views} |")


if __name__ == "__main__":
    main()
