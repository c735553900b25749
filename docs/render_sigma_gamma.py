"""Renders one mesh for a grid of sigma and gamma: the image in docs/rasterizer.md.

    python docs/render_sigma_gamma.py [OUTPUT] [--size PIXELS]

The first row is alpha, on which gamma has no influence; the others are colours before white.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from recon.files import atomic_file
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.preparation.sources.solids import block
from recon.rendering.lighting import Lighting
from recon.rendering.renderer import SoftRenderer
from recon.visualization.draw import to_pixels

OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "sigma_gamma.png"
SIGMAS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
GAMMAS = (1e-4, 1e-3, 1e-2, 1.0)
VIEW = (35.0, 25.0, 2.8, 30.0)  # azimuth, elevation, distance, fov
MARGIN = (92, 30)  # for the labels: left, top
GAP = 4


def coloured_mesh() -> Mesh:
    """Returns the mesh that is shown: a table, each part in a colour of its own."""
    parts = [block((0.0, 0.22, 0.0), (0.7, 0.06, 1.0))]
    parts += [block((x, -0.03, z), (0.06, 0.44, 0.06)) for x in (-0.3, 0.3) for z in (-0.45, 0.45)]
    colors = torch.tensor(
        [[0.85, 0.3, 0.2], [0.2, 0.5, 0.85], [0.95, 0.75, 0.2], [0.3, 0.65, 0.35], [0.6, 0.35, 0.7]]
    )
    corners = len(parts[0].vertices)  # of every part
    faces = [torch.from_numpy(part.faces) + corners * i for i, part in enumerate(parts)]
    return Mesh(
        torch.cat([torch.from_numpy(part.vertices) for part in parts]).float(),
        torch.cat(faces),
        colors.repeat_interleave(len(faces[0]), 0),
    )


def render_grid(
    mesh: Mesh, sigmas: Sequence[float], gammas: Sequence[float], size: int
) -> tuple[Tensor, Tensor]:
    """Renders a mesh with every pair of sigma and gamma.

    Args:
        mesh: With colours.
        sigmas: S softnesses of edges, squared NDC units.
        gammas: G temperatures of the softmax, normalised depth.
        size: Pixels along a side of each image.

    Returns:
        alpha: [S, size, size].
        images: [G, S, 3, size, size] before white.

    Raises:
        ValueError: The mesh has no colours.
    """
    if mesh.face_colors is None:
        raise ValueError("mesh must have face_colors, got None")
    camera = Cameras.orbit(*(torch.tensor([value]) for value in VIEW))
    light = Lighting(ambient=0.6, directional=0.4, direction=(0.4, 1.0, -0.6), two_sided=True)
    renderer = SoftRenderer(size, background=(1.0, 1.0, 1.0), lighting=light)
    textures = mesh.face_colors[None, :, None].expand(-1, -1, 3, -1)

    def render(sigma: float, gamma: float) -> Tensor:
        with torch.no_grad():
            return renderer(mesh.vertices[None], mesh.faces, textures, camera, sigma, gamma)[0]

    rows = [torch.stack([render(sigma, gamma) for sigma in sigmas]) for gamma in gammas]
    return rows[0][:, 3], torch.stack(rows)[:, :, :3].clamp(0, 1)


def draw_grid(
    alpha: Tensor, images: Tensor, sigmas: Sequence[float], gammas: Sequence[float]
) -> Image.Image:
    """Lays the images of `render_grid` out, with labels."""
    rows = [alpha[:, None].expand(-1, 3, -1, -1), *images]
    names = ["alpha", *(f"gamma\n{_short(gamma)}" for gamma in gammas)]
    step = alpha.shape[-1] + GAP
    sheet = Image.new(
        "RGB", (MARGIN[0] + step * len(sigmas), MARGIN[1] + step * len(rows)), "white"
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for column, sigma in enumerate(sigmas):
        x = MARGIN[0] + column * step + step // 2
        draw.text((x, MARGIN[1] // 2), f"sigma {_short(sigma)}", "black", font, anchor="mm")
    for row, (name, shown) in enumerate(zip(names, rows, strict=True)):
        y = MARGIN[1] + row * step
        draw.multiline_text((MARGIN[0] // 2, y + step // 2), name, "black", font, anchor="mm")
        for column, pixels in enumerate(to_pixels(shown)):
            sheet.paste(Image.fromarray(pixels), (MARGIN[0] + column * step, y))
    return sheet


def _short(value: float) -> str:
    """Returns 1e-4 rather than 1e-04 or 0.0001."""
    return "1" if value == 1 else f"{value:.0e}".replace("e-0", "e-")


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the image."""
    parser = argparse.ArgumentParser(description="Render a mesh for a grid of sigma and gamma.")
    parser.add_argument("output", nargs="?", type=Path, default=OUTPUT)
    parser.add_argument("--size", type=int, default=150, help="pixels along a side of each (150)")
    options = parser.parse_args(arguments)
    if options.size < 1:
        parser.error(f"--size must be >= 1, got {options.size}")
    grid = render_grid(coloured_mesh(), SIGMAS, GAMMAS, options.size)
    sheet = draw_grid(*grid, SIGMAS, GAMMAS)
    with atomic_file(options.output) as file:
        sheet.save(file, format="PNG", optimize=True)


if __name__ == "__main__":
    main()
