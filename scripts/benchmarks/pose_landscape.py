"""Losses over the angle between a cube and its image, at several softnesses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from pose_cases import LIGHT, Problems, cube, make_problems
from torch import Tensor
from tqdm import tqdm

from recon.command_line import Interruption
from recon.files import atomic_file
from recon.fitting.pose.color_channels import ColorChannels, centroids
from recon.fitting.pose.fitter import Poses
from recon.geometry.rotations import axis_angle_to_rotation
from recon.rendering.renderer import SoftRenderer
from recon.visualization.draw import save_png
from recon.visualization.plots import line_plot

ANGLES = 72
LINES = 100  # random truths and axes
IMAGE_SIZE = 64
REACH = 120.0  # degrees from which on a valley must fall
PANEL = (480, 300)

Loss = Callable[[Problems, Tensor], Tensor]


def rgb_loss(sigma: float, gamma: float) -> Loss:
    """Mean squared difference of RGB; gamma for near 1 and far 100."""
    renderer = SoftRenderer(IMAGE_SIZE, sigma, gamma, lighting=LIGHT)

    def loss(problems: Problems, rotations: Tensor) -> Tensor:
        mesh, number = problems.mesh, len(rotations)
        vertices = Poses(rotations, rotations.new_zeros(number, 3)).apply(mesh.vertices)
        colors = mesh.face_colors.expand(number, -1, -1)  # type: ignore[union-attr]
        image = renderer(vertices, mesh.faces, colors, problems.cameras[[0] * number])
        return (image[:, :3] - problems.images[:, :3]).square().mean((1, 2, 3))

    return loss


def channel_loss(gamma: float, sigma: float = 1e-3) -> Loss:
    """Squared distances of the centres of the colours that are seen; gamma in radii."""

    def loss(problems: Problems, rotations: Tensor) -> Tensor:
        mesh, number = problems.mesh, len(rotations)
        channels = ColorChannels(mesh, 6, darkest=0.5)
        centres, areas = centroids(channels.of_images(problems.images))
        seen = areas > 0.02 * areas.sum(1, keepdim=True)
        vertices = Poses(rotations, rotations.new_zeros(number, 3)).apply(mesh.vertices)
        depth = gamma * float(mesh.vertices.norm(dim=1).max())
        maps = channels.render(vertices, problems.cameras[[0] * number], 32, sigma, depth)
        return ((centroids(maps)[0] - centres).square().sum(-1) * seen).sum(1)

    return loss


LOSSES = {
    "RGB": {
        f"sigma {sigma:g}, gamma {gamma:g}": rgb_loss(sigma, gamma)
        for sigma, gamma in ((1e-5, 1e-3), (1e-3, 1e-2), (1e-2, 1.0))
    },
    "centres of the colours that are seen": {
        f"gamma {gamma:g} radii": channel_loss(gamma) for gamma in (0.02, 0.3, 6.0)
    },
}


def profile(loss: Loss, seed: int) -> Tensor:
    """Returns [ANGLES + 1] losses over turns from -180 to 180 degrees about a random axis."""
    problems = make_problems(cube(), 1, 1.0, seed, IMAGE_SIZE)
    axis = torch.nn.functional.normalize(
        torch.randn(3, generator=torch.Generator().manual_seed(seed)), dim=0
    )
    angles = torch.deg2rad(torch.linspace(-180, 180, ANGLES + 1))
    with torch.no_grad():
        return loss(
            problems, problems.truth.rotation @ axis_angle_to_rotation(angles[:, None] * axis)
        )


def is_a_valley(losses: Tensor, reach: float = REACH) -> bool:
    """Tells whether the loss falls towards the truth from everywhere within `reach` degrees.

    Not within ten degrees, where pixels decide.
    """
    middle, steps, near = ANGLES // 2, round(reach / 360 * ANGLES), round(10 / 360 * ANGLES)
    right = losses[middle + near : middle + steps + 1].diff()
    left = losses[middle - steps : middle - near + 1].flip(0).diff()
    return bool((right > 0).all() and (left > 0).all())


def write_landscape(folder: Path, seed: int, interruption: Interruption | None = None) -> str:
    """Draws one line of every loss, and counts on how many lines the losses are valleys.

    Writes landscape.png, and landscape.md with the table.

    Args:
        folder: The folder of both files.
        seed: The seed of the truths and the axes.
        interruption: An entered context, whose signal ends the counting.

    Returns:
        The table as Markdown, of the losses which were counted.

    Raises:
        OSError: A file could not be written.
    """
    image = draw_landscape(seed)
    save_png(folder / "landscape.png", image)
    lines = [
        f"Of {LINES} lines through the truth, the percentage on which the loss falls towards it"
        f" from {REACH:g} degrees on\n",
        "| loss | percent |",
        "|---|---|",
    ]
    losses = {f"{title}: {name}": one for title in LOSSES for name, one in LOSSES[title].items()}
    for name, loss in tqdm(losses.items(), desc="losses", disable=None):
        valleys = []
        for index in range(LINES):
            valleys.append(is_a_valley(profile(loss, seed + index)))
            if interruption is not None and interruption.signum is not None:
                return "\n".join(lines)
        lines.append(f"| {name} | {100 * sum(valleys) / LINES:.0f} |")
        with atomic_file(folder / "landscape.md") as file:
            file.write(("\n".join(lines) + "\n").encode())
    return "\n".join(lines)


def draw_landscape(seed: int) -> Image.Image:
    """Returns every loss over the angle to the truth, relative to its greatest value."""
    angles = torch.linspace(-180, 180, ANGLES + 1).tolist()
    sheet = Image.new("RGB", (2 * PANEL[0], PANEL[1]), "white")
    for index, (title, losses) in enumerate(LOSSES.items()):
        curves = {}
        for name, loss in losses.items():
            values = profile(loss, seed)
            curves[name] = angles, (values / values.max()).tolist()
        # Above the curves there is room for their names.
        panel = line_plot(curves, title, "degrees from the truth", size=PANEL, y_range=(0.0, 1.25))
        sheet.paste(panel, (PANEL[0] * index, 0))
    return sheet
