"""Drawing for all fits: meshes in their colours, differences of silhouettes, and crops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.rendering.compositing import over_white
from recon.rendering.lighting import Lighting
from recon.rendering.renderer import SoftRenderer
from recon.visualization.draw import GREY, to_pixels

CROP_SIZE = 112  # pixels along the longer side of a crop
AXIS_COLORS = ((220, 30, 30), (20, 150, 40), (40, 80, 230))
BOTH, MISSING, TOO_MUCH = (0.80, 0.82, 0.85), (0.82, 0.16, 0.20), (0.13, 0.35, 0.75)


def face_colors(mesh: Mesh) -> Tensor:
    """Returns the colours [F, 3] of a mesh, grey where it has none."""
    if mesh.face_colors is not None:
        return mesh.face_colors
    return mesh.vertices.new_tensor(GREY).expand(mesh.num_faces, 3)


def render_colors(
    mesh: Mesh,
    vertices: Tensor,
    cameras: Cameras,
    image_size: int | tuple[int, int],
    lighting: Lighting | None = None,
) -> Tensor:
    """Renders a mesh sharply in the colours of its faces, for people to look at.

    Args:
        mesh: The mesh whose faces and colours are drawn.
        vertices: [N, V, 3] world coordinates, which replace those of the mesh.
        cameras: The N cameras, one for each set of vertices.
        image_size: (height, width) in pixels; an int means square.
        lighting: The light on the mesh; None draws the colours as they are.

    Returns:
        [N, 4, H, W] in [0, 1].
    """
    renderer = SoftRenderer(
        image_size,
        sigma=1e-6,
        gamma=1e-7,
        near=1e-3,
        far=1e3,
        anti_aliasing=2,
        lighting=lighting,
    )
    colors = face_colors(mesh).expand(len(vertices), -1, -1)
    with torch.no_grad():
        return renderer(vertices, mesh.faces, colors, cameras).clamp(0, 1)


def difference_images(alpha: Tensor, masks: Tensor) -> Tensor:
    """Returns [N, 4, H, W]: grey where both cover, red what is missing, blue what is too much."""
    both = torch.minimum(alpha, masks)
    parts = (both, masks - both, alpha - both)
    colors = torch.tensor([BOTH, MISSING, TOO_MUCH], device=alpha.device)
    total = torch.stack(parts, dim=1)
    premultiplied = (total[:, :, None] * colors[None, :, :, None, None]).sum(1)
    cover = torch.maximum(alpha, masks)
    return torch.cat((premultiplied / cover[:, None].clamp(min=1e-6), cover[:, None]), dim=1)


def outlined(image: NDArray[np.uint8], alpha: Tensor) -> NDArray[np.uint8]:
    """Draws the outline of a silhouette [H, W] on an image [H, W, 3] in magenta."""
    inside = alpha.numpy() > 0.5
    shrunk = inside.copy()
    for axis in (0, 1):
        for shift in (-1, 1):
            shrunk &= np.roll(inside, shift, axis)
    drawn = image.copy()
    drawn[inside & ~shrunk] = (230, 0, 200)
    return drawn


def with_axes(
    image: NDArray[np.uint8], cameras: Cameras, origin: Tensor, ends: Tensor
) -> NDArray[np.uint8]:
    """Draws axes on an image [H, W, 3]: x in red, y in green and z in blue.

    Args:
        image: [H, W, 3] the image that the camera took.
        cameras: The one camera of the image.
        origin: [3] world coordinates of where the axes begin.
        ends: [3, 3] world coordinates of the ends of the three axes.
    """
    height, width = image.shape[:2]
    points = cameras.project(torch.cat((origin[None], ends))[None], (height, width))[0]
    side = min(height, width)
    pixels = [
        ((side * x + width - 1) / 2, (height - 1 - side * y) / 2) for x, y, _ in points.tolist()
    ]
    drawn = Image.fromarray(image)
    draw, font = ImageDraw.Draw(drawn), ImageFont.load_default(11)
    # What is nearer lies over what is farther.
    for axis in points[1:, 2].argsort(descending=True).tolist():
        draw.line([pixels[0], pixels[axis + 1]], AXIS_COLORS[axis], width=2)
        draw.text(pixels[axis + 1], "xyz"[axis], AXIS_COLORS[axis], font)
    return np.asarray(drawn)


@dataclass(frozen=True)
class Crop:
    """A rectangle of images, in shares of their height and width.

    Args:
        top: The upper edge, in [0, 1] from above.
        bottom: The lower edge, in [0, 1] from above.
        left: The left edge, in [0, 1] from the left.
        right: The right edge, in [0, 1] from the left.
        size: (width, height) in pixels of the cropped image.
    """

    top: float
    bottom: float
    left: float
    right: float
    size: tuple[int, int]

    @classmethod
    def of_object(cls, masks: Tensor) -> Crop:
        """Returns the rectangle around the object in all masks [N, H, W], with a margin."""
        height, width = masks.shape[1:]
        covered = (masks > 0.05).any(0)
        if not bool(covered.any()):
            covered = torch.ones_like(covered)
        top, bottom = _bounds(covered.any(1))
        left, right = _bounds(covered.any(0))
        scale = CROP_SIZE / max(bottom - top, right - left)
        size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
        return cls(top / height, bottom / height, left / width, right / width, size)

    def cell(self, image: Tensor) -> NDArray[np.uint8]:
        """Returns what lies inside of an image [4, H, W], over white: [h, w, 3]."""
        height, width = image.shape[1:]
        box = (self.left * width, self.top * height, self.right * width, self.bottom * height)
        pixels = Image.fromarray(to_pixels(over_white(image)))
        return np.asarray(pixels.resize(self.size, Image.Resampling.BICUBIC, box))


def _bounds(covered: Tensor) -> tuple[int, int]:
    """Returns the first and the last but one index of what is covered, with a margin."""
    where = covered.nonzero().flatten()
    margin = max(1, len(covered) // 32)
    return max(0, int(where[0]) - margin), min(len(covered), int(where[-1]) + 1 + margin)
