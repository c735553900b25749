"""Images of problems of pose, where they started and what was found."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from pose_cases import Problems
from torch import Tensor

from recon.fitting.drawing import outlined, render_colors
from recon.fitting.pose.fitter import Poses
from recon.fitting.pose.run import LIGHT
from recon.rendering.compositing import over_white
from recon.visualization.draw import to_pixels

SHOWN = 6  # problems
CELL = 128  # pixels along a side of each
CLOSE = 0.6  # share of an image's side that is shown, around its middle


def draw_solutions(problems: Problems, found: Poses) -> Image.Image:
    """Draws the first problems: in rows the image, the start, and what was found.

    The border of the image's mask is drawn over start and solution.

    Args:
        problems: The problems that are drawn.
        found: The poses that were found.
    """
    size = round(CELL / CLOSE)
    targets = torch.nn.functional.interpolate(problems.images[:SHOWN], (size, size))
    rows = [list(to_pixels(over_white(targets)))]
    for poses in (problems.start, found):
        images = to_pixels(over_white(_images(problems, poses[:SHOWN], size)))
        rows.append(
            [outlined(image, target[3]) for image, target in zip(images, targets, strict=True)]
        )
    edge = (size - CELL) // 2
    inside = slice(edge, edge + CELL)
    cells = np.stack([np.stack(row)[:, inside, inside] for row in rows])  # [3, N, C, C, 3]
    return Image.fromarray(np.concatenate(np.concatenate(cells, axis=1), axis=1))


def _images(problems: Problems, poses: Poses, size: int) -> Tensor:
    mesh, count = problems.mesh, len(poses)
    return render_colors(mesh, poses.apply(mesh.vertices), problems.cameras[:count], size, LIGHT)
