"""Objects of prepared data, rendered anew from the triangles that the file keeps of them."""

from __future__ import annotations

import torch
from torch import Tensor

from recon.datasets.multiview import MultiViewDataset
from recon.geometry.cameras import Cameras
from recon.rendering.edge import EdgeGradientRenderer
from recon.rendering.lighting import Lighting

# Samples along the side of a rendering of 64 pixels, as the data has them by default; larger images
# take fewer, down to one.
_SAMPLES = 256
# As wide a range of depths as any camera of an object of size 1 needs.
_NEAR, _FAR = 1e-3, 1e3


def can_render(data: MultiViewDataset) -> bool:
    """Tells whether the file keeps triangles of its objects."""
    return "triangles" in data.fields


def recorded_light(data: MultiViewDataset) -> Lighting | None:
    """Returns the light in which the data was rendered; None where its files tell of none."""
    for config in data.configs():
        light = (config.get("rendering") or {}).get("lighting")
        return Lighting.from_config(light) if light else None
    return None


@torch.no_grad()
def render_object(
    data: MultiViewDataset,
    index: int,
    cameras: Cameras,
    image_size: tuple[int, int],
    lighting: Lighting | None,
) -> Tensor:
    """Renders an object from the triangles and colours that its file keeps.

    Args:
        data: The data set, whose files keep triangles.
        index: The index of the object.
        cameras: The n cameras.
        image_size: The height and the width in pixels.
        lighting: The light that shades the triangles; None leaves their colours as they are.

    Returns:
        [n, 4, H, W] uint8 sRGB RGBA, not premultiplied.

    Raises:
        ValueError, OSError: If the file keeps no triangles or cannot be read.
    """
    triangles = data.field(index, "triangles").float()
    used = triangles.flatten(1).any(1)
    corners = triangles[used].expand(len(cameras), -1, -1, -1)
    colors = data.field(index, "triangle_colors")[used].float() / 255
    colors = colors.expand(len(cameras), -1, -1, -1)
    if lighting is not None:
        colors = lighting(corners, colors, cameras.eye()).clamp(0, 1)
    faces = torch.arange(3 * int(used.sum())).reshape(-1, 3)
    samples = max(1, _SAMPLES // min(image_size))
    renderer = EdgeGradientRenderer(image_size, _NEAR, _FAR, anti_aliasing=samples)
    rgba = renderer(corners.flatten(1, 2), faces, colors, cameras)
    # Colours are over black; where alpha is 0 so are they, and the floor avoids 0/0.
    alpha = rgba[:, 3:]
    straight = rgba[:, :3] / alpha.clamp(min=1e-6)
    return (torch.cat([straight, alpha], 1) * 255).round().to(torch.uint8)
