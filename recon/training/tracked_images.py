"""Images and meshes of the objects that are tracked over the validations of a run."""

from __future__ import annotations

import torch
from torch import Tensor

from recon.geometry.frames import world_vertices
from recon.rendering.renderer import SoftRenderer
from recon.training.tracked_objects import TrackedPredictions
from recon.visualization.draw import GREY, draw_mesh

# Colours of pixels that only the prediction covers, only the truth covers, and both cover.
TOO_MUCH, MISSING, BOTH = (0.9, 0.25, 0.1), (0.1, 0.35, 0.9), (0.85, 0.85, 0.85)
_SHARP = 1e-7  # softness of silhouettes, squared NDC units: far below a pixel


def tracked_grid(tracked: TrackedPredictions) -> Tensor:
    """Draws a column for each object: input, prediction, difference; then the other view.

    The rows are the input, the prediction in the same view, the difference of the silhouettes (red
    is too much, blue is missing); and from the other view truth, prediction and difference.

    Returns:
        [3, 6 * H, N * W] in [0, 1].
    """
    columns = []
    for index in range(len(tracked.ids)):
        truth = tracked.truth[index].float() / 255
        height, width = truth.shape[-2:]
        drawn = draw_mesh(
            tracked.mesh(index), tracked.views(index), (height, width), tracked.mesh_colors(index)
        )
        differences = silhouette_difference(tracked, index)
        cells = [
            cell
            for view in (0, 1)
            for cell in (over_white(truth[view]), drawn[view], differences[view])
        ]
        columns.append(torch.cat(cells, dim=1))
    return torch.cat(columns, dim=2)


def silhouette_difference(tracked: TrackedPredictions, index: int) -> Tensor:
    """Returns [2, 3, H, W]: where the silhouettes of prediction and truth differ, in two views."""
    truth = tracked.truth[index, :, 3] > 127
    renderer = SoftRenderer(tuple(truth.shape[1:]), sigma=_SHARP)
    vertices = tracked.vertices[index].expand(len(truth), -1, -1)
    with torch.no_grad():
        drawn = renderer.silhouette(vertices, tracked.faces, tracked.views(index)) > 0.5
    image = torch.ones(len(truth), *truth.shape[1:], 3)
    for where, color in (
        (drawn & ~truth, TOO_MUCH),
        (truth & ~drawn, MISSING),
        (truth & drawn, BOTH),
    ):
        image[where] = torch.tensor(color)
    return image.movedim(-1, 1)


def over_white(rgba: Tensor) -> Tensor:
    """Returns an image [4, H, W] in [0, 1] over white, [3, H, W]."""
    return rgba[:3] * rgba[3:] + (1 - rgba[3:])


def viewer_mesh(tracked: TrackedPredictions, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns a predicted mesh as viewers take it, which read coordinates as right-handed.

    Returns:
        vertices: [V, 3] in the frame of models.
        faces: [F, 3] int32.
        colors: [V, 3] uint8; grey without colours, and for texels the mean around each vertex.
    """
    vertices, faces = world_vertices(tracked.vertices[index]), tracked.faces.flip(1)
    colors = tracked.mesh_colors(index)
    if colors is None:
        colors = torch.tensor(GREY).expand(len(vertices), 3)
    elif colors.dim() == 3:
        colors = _around_vertices(colors.mean(1), tracked.faces, len(vertices))
    return vertices, faces.int(), (colors.clamp(0, 1) * 255).round().byte()


def _around_vertices(colors: Tensor, faces: Tensor, count: int) -> Tensor:
    """Returns the mean colours [V, 3] of the faces around every vertex."""
    corners = faces.flatten()
    sums = torch.zeros(count, 3).index_add(0, corners, colors.repeat_interleave(3, dim=0))
    return sums / torch.bincount(corners, minlength=count).clamp(min=1)[:, None]
