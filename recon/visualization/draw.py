"""Images of meshes for people to look at: sharp, on white."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from recon.files import atomic_file
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.rendering.lighting import Lighting
from recon.rendering.renderer import SoftRenderer
from renderer_cuda import gather_faces

GREY = (0.62, 0.66, 0.72)
WHITE = (1.0, 1.0, 1.0)


def draw_mesh(
    mesh: Mesh,
    cameras: Cameras,
    image_size: int | tuple[int, int],
    colors: Tensor | None = None,
    samples: int = 3,
) -> Tensor:
    """Draws a mesh from several viewpoints.

    Colours are shown as they are, since those which are learned from images have their light in
    them; a mesh without colours is grey, in the light of the prepared data.

    Args:
        mesh: The mesh in the world of the cameras.
        cameras: The N cameras of the images.
        image_size: (height, width) in pixels; an int means square.
        colors: The sRGB colours in [0, 1] of the vertices [V, 3], or R * R texels of every face [F,
            R * R, 3].
        samples: The number of samples along each side of a pixel.

    Returns:
        [N, 3, H, W] in [0, 1], row 0 on top.

    Raises:
        ValueError: Shapes disagree.
    """
    light = Lighting(ambient=0.45, directional=0.55, direction=(0.4, 1.0, -0.6), two_sided=True)
    renderer = SoftRenderer(
        image_size,
        distance="hard",
        alpha="hard",
        color="hard",
        texture="surface" if colors is not None and colors.dim() == 3 else "vertex",
        near=1e-6,  # whatever is in front of the eye
        far=1e6,
        background=WHITE,
        anti_aliasing=samples,
        lighting=light if colors is None else None,
    )
    count = len(cameras)
    textures = _textures(mesh, colors)
    with torch.no_grad():
        rgba = renderer(
            mesh.vertices.expand(count, -1, -1),
            mesh.faces,
            textures.expand(count, -1, -1, -1),
            cameras,
        )
    return rgba[:, :3].clamp(0, 1)


def _textures(mesh: Mesh, colors: Tensor | None) -> Tensor:
    """Returns the colours [1, F, K, 3] which the renderer takes."""
    if colors is None:
        return mesh.vertices.new_tensor(GREY).expand(1, mesh.num_faces, 3, 3)
    colors = colors.detach().to(mesh.vertices)
    if colors.dim() == 3:
        return colors[None]
    if colors.shape != mesh.vertices.shape:
        raise ValueError(
            f"colors must be {list(mesh.vertices.shape)} or [{mesh.num_faces}, R * R, 3], "
            f"got {list(colors.shape)}"
        )
    return gather_faces(colors[None], mesh.faces)


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """Returns images [..., 3, H, W] in [0, 1] as bytes [..., H, W, 3]."""
    bytes_ = (images.detach().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(bytes_.movedim(-3, -1).cpu().numpy())


def save_png(path: Path, image: Image.Image, optimize: bool = True) -> None:
    """Writes an image as PNG.

    Args:
        path: The path of the file, which appears only when it is complete.
        image: The image to write.
        optimize: Whether to make the file as small as possible, which takes longer.

    Raises:
        OSError: The file could not be written.
    """
    with atomic_file(path) as file:
        image.save(file, format="PNG", optimize=optimize)
