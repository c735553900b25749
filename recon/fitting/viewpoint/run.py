"""Reads the mesh and the image of a viewpoint fit, and writes its result."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.datasets.categories import CATEGORIES
from recon.fitting.drawing import Crop, outlined, with_axes
from recon.fitting.history import evenly_spread
from recon.fitting.run import FitFolder
from recon.fitting.stages import StagedFit
from recon.fitting.viewpoint.benchmark import Benchmark, summarise
from recon.fitting.viewpoint.shaded_mesh import ShadedMesh
from recon.fitting.viewpoint.viewpoints import ViewpointErrors, Viewpoints
from recon.formats.meshes import read_mesh
from recon.formats.views import read_masked_image
from recon.geometry.frames import world_vertices
from recon.geometry.meshes import Mesh
from recon.preparation.sources.shapes import make_shape
from recon.rendering.compositing import over_white
from recon.visualization.contact_sheet import contact_sheet, sheet_cell
from recon.visualization.draw import GREY

CELL = 160  # pixels along the shorter side of an image of the animation
SHOWN = 8  # images of a benchmark's sheet
FRAMES = 60  # of an animation, about


def known_mesh(name: str, color: Sequence[float] | None) -> Mesh:
    """Returns a mesh with colours of faces, in the world of the cameras.

    Args:
        name: A category, which gives one of its generated shapes; or the path of a mesh file in the
            frame of models.
        color: [3] the sRGB colour of all faces; None keeps the colours of a generated shape, and
            draws a mesh file in grey.

    Raises:
        ValueError: The file cannot be read, or a colour is out of range.
        FileNotFoundError: There is no such file.
    """
    if name in {category.name for category in CATEGORIES}:
        surface = make_shape(name, seed=0, index=0)
        mesh = Mesh(
            torch.from_numpy(surface.vertices).float(),
            torch.from_numpy(surface.faces).long(),
            torch.from_numpy(surface.face_rgba[:, :3]).float(),
        )
    else:
        mesh = read_mesh(name)
        color = GREY if color is None else color
    colors = mesh.face_colors
    if color is not None:
        if len(color) != 3:
            raise ValueError(f"color must be 3 numbers, got {list(color)}")
        colors = torch.tensor(list(color), dtype=torch.float32).expand(mesh.num_faces, 3)
    return Mesh(world_vertices(mesh.vertices), mesh.faces.flip(1), colors)


def read_image(path: str | Path, mask: str | Path | None = None) -> Tensor:
    """Reads an image [4, H, W] in [0, 1], upright, with a mask as its alpha.

    Args:
        path: The path of the image file.
        mask: The path of a mask, "plain" or None, see `recon.formats.views.read_masked_image`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read or has no mask.
    """
    return torch.from_numpy(read_masked_image(path, mask).rgba).float() / 255


def write_fit(
    folder: FitFolder, mesh: ShadedMesh, image: Tensor, fitted: StagedFit[Viewpoints]
) -> dict[str, Any]:
    """Writes what was found of one image, and returns the content of `result.json`."""
    size = (image.shape[1], image.shape[2])
    states = evenly_spread(fitted.trajectory, FRAMES)
    cells = [
        *_row([image, mesh.image(fitted.state, size)[0]]),
        _overlay(mesh, image, fitted.state),
    ]
    return folder.write(
        {**described(fitted.state), "loss": float(fitted.loss)},
        fitted.fits,
        contact_sheet([cells], ("image", "found", "outline and axes")),
        [np.hstack(_row([image, mesh.image(viewpoint, size)[0]])) for viewpoint in states],
    )


def described(viewpoint: Viewpoints) -> dict[str, Any]:
    """Returns the numbers of one viewpoint, azimuth in [0, 360); the light in world axes."""
    return {
        "azimuth": float(viewpoint.azimuth) % 360,
        "elevation": float(viewpoint.elevation),
        "distance": float(viewpoint.distance),
        "light": viewpoint.light[0].tolist(),
    }


def write_benchmark(
    folder: FitFolder, benchmark: Benchmark, found: dict[str, Viewpoints]
) -> dict[str, dict[str, Any]]:
    """Writes errors and images of a benchmark, and returns the summary of each row."""
    truth = benchmark.truth()
    errors = {name: ViewpointErrors.between(one, truth[: len(one)]) for name, one in found.items()}
    rows = {name: summarise(one) for name, one in errors.items()}
    each = {
        name: {field.name: getattr(one, field.name).tolist() for field in fields(one)}
        for name, one in errors.items()
    }
    columns = [benchmark.images()[:SHOWN]] + [
        benchmark.mesh.image(one[:SHOWN], benchmark.image_size) for one in found.values()
    ]
    cells = [_cropped(images) for images in zip(*columns, strict=False)]
    # Two images with all that was found of them beside each other.
    pairs = [
        [*left, *right]
        for left, right in itertools.zip_longest(cells[::2], cells[1::2], fillvalue=())
    ]
    titles = ["image", *found] * min(2, len(cells))
    folder.write_result({"summary": rows, "errors": each}, contact_sheet(pairs, titles))
    return rows


def _row(images: Sequence[Tensor]) -> list[NDArray[np.uint8]]:
    """Returns whole images [4, H, W] over white, the shorter side of each one cell long."""
    return [sheet_cell(over_white(image), _cell_size(image)) for image in images]


def _cell_size(image: Tensor) -> tuple[int, int]:
    height, width = image.shape[1:]
    scale = CELL / min(height, width)
    return round(height * scale), round(width * scale)


def _overlay(mesh: ShadedMesh, image: Tensor, viewpoint: Viewpoints) -> NDArray[np.uint8]:
    """Draws on the image the outline of the mesh as found, and the axes of its file."""
    size = _cell_size(image)
    shown = outlined(sheet_cell(over_white(image), size), mesh.image(viewpoint, size)[0, 3].cpu())
    ends = mesh.radius * world_vertices(torch.eye(3))
    return with_axes(shown, viewpoint.cameras(mesh.fov).to("cpu"), torch.zeros(3), ends)


def _cropped(images: Sequence[Tensor]) -> list[NDArray[np.uint8]]:
    """Returns of each image the rectangle in which one of them has the object."""
    crop = Crop.of_object(torch.stack([image[3] for image in images]))
    return [crop.cell(image) for image in images]
