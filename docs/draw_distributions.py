"""Draws the soft rasterizers: the images in docs/soft_rasterizers.md.

    python docs/draw_distributions.py [FOLDER] [--size PIXELS]

Writes distributions.png, the curves of all distributions and of all t-conorms, and
soft_rasterizers.png, one table rendered by every distribution (rows) with some t-conorms (columns).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from render_sigma_gamma import VIEW, coloured_mesh
from torch import Tensor

from recon.files import atomic_file
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.rendering.renderer import SoftRenderer
from recon.visualization.draw import to_pixels
from renderer_cuda.reference_family import coverage, t_conorm
from renderer_cuda.validation import ALPHA_PARAMETERS, MODES

FOLDER = Path(__file__).resolve().parents[1] / "docs"
DISTRIBUTIONS = MODES["distribution"]
T_CONORMS = tuple(name for name in MODES["alpha"] if name not in ("sum", "hard"))
SHOWN_T_CONORMS = ("maximum", "product", "einstein", "yager", "dombi")
SIGMA = 1e-3  # of the renders, squared NDC units
FACES = 4  # of equal coverage, in the curves of t-conorms
PANEL = (150, 110)  # pixels of a plot
MARGIN = 26  # for its label
COLUMNS = 6  # of plots
BLACK, GREY, BLUE, RED = "black", (200, 200, 200), (30, 90, 200), (200, 60, 40)
LABELS = (122, 30)  # for the labels of the renders: left, top
GAP = 4

Plot = tuple[str, Callable[[Tensor], Tensor], tuple[float, float]]


def distribution_plot(name: str) -> Plot:
    """Returns the name, the function D(x) and the range of x of a distribution."""
    return name, lambda x: coverage(name, x)[0], (-4.0, 4.0)


def t_conorm_plot(name: str) -> Plot:
    """Returns the name, alpha of FACES faces of the same coverage D, and the range of D."""
    parameter = ALPHA_PARAMETERS.get(name, (0.0,))[0]

    def alpha(covered: Tensor) -> Tensor:
        faces = covered[:, None].expand(-1, FACES)
        return t_conorm(name, faces, 1 - faces, parameter)

    return name, alpha, (0.0, 1.0)


def draw_plots(plots: Sequence[Plot]) -> Image.Image:
    """Lays out plots of functions whose values are from 0 to 1, COLUMNS in a row."""
    width, height = PANEL
    rows = -(-len(plots) // COLUMNS)
    step = (width + 12, height + MARGIN + 6)
    sheet = Image.new("RGB", (step[0] * COLUMNS, step[1] * rows), "white")
    for index, plot in enumerate(plots):
        corner = (index % COLUMNS * step[0] + 6, index // COLUMNS * step[1] + MARGIN)
        _draw_plot(ImageDraw.Draw(sheet), plot, corner)
    return sheet


def _draw_plot(draw: ImageDraw.ImageDraw, plot: Plot, corner: tuple[int, int]) -> None:
    (name, function, (low, high)), (left, top), (width, height) = plot, corner, PANEL
    draw.text((left + width // 2, top - 12), name, BLACK, ImageFont.load_default(13), anchor="mm")
    draw.rectangle((left, top, left + width, top + height), outline=GREY)
    middle = top + height // 2
    draw.line((left, middle, left + width, middle), GREY)
    x = torch.linspace(low, high, 2 * width + 1, dtype=torch.float64)
    color = BLUE if low < 0 else RED
    if low < 0:
        zero = left + width // 2
        draw.line((zero, top, zero, top + height), GREY)
    values = function(x)
    points = [
        (left + width * (at - low) / (high - low), top + height * (1 - value))
        for at, value in zip(x.tolist(), values.tolist(), strict=True)
    ]
    draw.line(points, color, 2)


def render_family(
    mesh: Mesh, distributions: Sequence[str], t_conorms: Sequence[str], size: int
) -> Tensor:
    """Renders the silhouettes [D, A, size, size] of a mesh by distributions and t-conorms."""
    camera = Cameras.orbit(*(torch.tensor([value]) for value in VIEW))

    def silhouette(distribution: str, alpha: str) -> Tensor:
        renderer = SoftRenderer(size, SIGMA, distribution=distribution, alpha=alpha)  # type: ignore[arg-type]
        with torch.no_grad():
            return renderer.silhouette(mesh.vertices[None], mesh.faces, camera)[0]

    return torch.stack([torch.stack([silhouette(d, a) for a in t_conorms]) for d in distributions])


def draw_renders(
    images: Tensor, distributions: Sequence[str], t_conorms: Sequence[str]
) -> Image.Image:
    """Lays the images of `render_family` out, with labels."""
    step = images.shape[-1] + GAP
    size = (LABELS[0] + step * len(t_conorms), LABELS[1] + step * len(distributions))
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, name in enumerate(t_conorms):
        x = LABELS[0] + column * step + step // 2
        draw.text((x, LABELS[1] // 2), name, BLACK, font, anchor="mm")
    for row, name in enumerate(distributions):
        y = LABELS[1] + row * step
        draw.text((LABELS[0] // 2, y + step // 2), name, BLACK, font, anchor="mm")
        for column, pixels in enumerate(to_pixels(images[row][:, None].expand(-1, 3, -1, -1))):
            sheet.paste(Image.fromarray(pixels), (LABELS[0] + column * step, y))
    return sheet


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the images."""
    parser = argparse.ArgumentParser(description="Draw distributions, t-conorms and renders.")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--size", type=int, default=84, help="pixels along a side of each (84)")
    options = parser.parse_args(arguments)
    if options.size < 1:
        parser.error(f"--size must be >= 1, got {options.size}")
    plots = [*map(distribution_plot, DISTRIBUTIONS), *map(t_conorm_plot, T_CONORMS)]
    renders = render_family(coloured_mesh(), DISTRIBUTIONS, SHOWN_T_CONORMS, options.size)
    sheets = {
        "distributions.png": draw_plots(plots),
        "soft_rasterizers.png": draw_renders(renders, DISTRIBUTIONS, SHOWN_T_CONORMS),
    }
    for name, sheet in sheets.items():
        with atomic_file(options.folder / name) as file:
            sheet.quantize(64).save(file, format="PNG", optimize=True)


if __name__ == "__main__":
    main()
