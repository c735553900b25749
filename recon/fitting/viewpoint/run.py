"""What fitting viewpoint and light reads and writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from recon.datasets.categories import CATEGORIES
from recon.files import atomic_file
from recon.fitting.history import Animation, joined_history, on_white, write_history
from recon.fitting.shape.scores import Part
from recon.fitting.viewpoint.benchmark import Benchmark, summarise
from recon.fitting.viewpoint.fitter import FittedViewing
from recon.fitting.viewpoint.scene import Scene
from recon.fitting.viewpoint.viewpoints import Errors, Viewing
from recon.formats.meshes import read_mesh
from recon.formats.views import read_masked_image
from recon.geometry.frames import world_vertices
from recon.geometry.meshes import Mesh
from recon.preparation.sources.shapes import make_shape
from recon.runs.directory import write_json
from recon.visualization.draw import GREY

CELL = 160  # pixels along a side of an image of a sheet
GAP = 16
SHOWN = 8  # images of a benchmark's sheet
FRAMES = 60  # of an animation, about


def known_mesh(name: str, color: Sequence[float] | None) -> Mesh:
    """Returns a mesh with colours of faces, in the world of the cameras.

    Args:
        name: a category, for one of its generated shapes; or a mesh file in the frame of models.
        color: [3] sRGB of all faces; None leaves those of a shape, and makes a file's mesh grey.

    Raises:
        ValueError: the file cannot be read, or a colour is out of range.
        FileNotFoundError: there is no such file.
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
        path: the file of an image.
        mask: as for `recon.formats.views.read_masked_image`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read or has no mask.
    """
    return torch.from_numpy(read_masked_image(path, mask).rgba).float() / 255


def write_fit(
    folder: Path, scene: Scene, image: Tensor, fitted: FittedViewing, settings: dict[str, Any]
) -> dict[str, Any]:
    """Writes what was found of one image: numbers, curves, a comparison and the course."""
    folder.mkdir(parents=True, exist_ok=True)
    size = (image.shape[1], image.shape[2])
    animation = Animation(every=max(1, len(fitted.course) // FRAMES))
    for step, viewing in enumerate(fitted.course):
        if animation.wants(step) or step == len(fitted.course) - 1:
            animation.add(_row([image, scene.image(viewing, size)[0]]))
    animation.save(folder / "course.gif")
    found = scene.image(fitted.viewing, size)[0]
    _save(folder / "comparison.png", [_cropped_row([image, found])])
    write_history(folder, _joined(fitted))
    result = {**described(fitted.viewing), "loss": float(fitted.loss), "settings": settings}
    write_json(folder / "result.json", result)
    return result


def _joined(fitted: FittedViewing) -> dict[str, Tensor]:
    """Returns the mean losses over the starts, stage after stage."""
    means = [
        replace(one, history={name: loss.mean(1) for name, loss in one.history.items()})
        for one in fitted.fits
    ]
    return joined_history(means)


def described(viewing: Viewing) -> dict[str, Any]:
    """Returns the numbers of one viewing, azimuth in [0, 360); the light in world axes."""
    return {
        "azimuth": float(viewing.azimuth) % 360,
        "elevation": float(viewing.elevation),
        "distance": float(viewing.distance),
        "light": viewing.light[0].tolist(),
    }


def write_benchmark(
    folder: Path, benchmark: Benchmark, found: dict[str, Viewing], settings: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Writes errors and images of a benchmark, and returns the summary of each row."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = benchmark.truth()
    errors = {name: Errors.between(one, truth[: len(one)]) for name, one in found.items()}
    rows = {name: summarise(one) for name, one in errors.items()}
    each = {
        name: {field.name: getattr(one, field.name).tolist() for field in fields(one)}
        for name, one in errors.items()
    }
    write_json(folder / "result.json", {"summary": rows, "errors": each, "settings": settings})
    images = benchmark.images()[:SHOWN]
    columns = [images] + [
        benchmark.scene.image(one[:SHOWN], benchmark.image_size) for one in found.values()
    ]
    _save(
        folder / "comparison.png",
        [_cropped_row(images) for images in zip(*columns, strict=False)],
        across=2,
    )
    return rows


def _row(images: Sequence[Tensor]) -> NDArray[np.uint8]:
    """Puts whole images [4, H, W] beside each other, the shorter side of each one cell long."""
    height, width = images[0].shape[1:]
    scale = CELL / min(height, width)
    size = round(width * scale), round(height * scale)
    cells = [
        np.asarray(Image.fromarray(on_white(image)).resize(size, Image.Resampling.BICUBIC))
        for image in images
    ]
    return np.concatenate(cells, axis=1)


def _cropped_row(images: Sequence[Tensor]) -> NDArray[np.uint8]:
    """Puts the part of images which has the object in one of them beside each other."""
    part = Part.of_object(torch.stack([image[3] for image in images]))
    cells = [np.pad(part.cell(image), ((0, 0), (4, 4), (0, 0)), mode="edge") for image in images]
    return np.concatenate(cells, axis=1)


def _save(path: Path, rows: Sequence[NDArray[np.uint8]], across: int = 1) -> None:
    """Writes rows of images below each other, in some columns."""
    height, width = (max(row.shape[axis] for row in rows) + GAP for axis in (0, 1))
    lines = -(-len(rows) // across)
    sheet = Image.new("RGB", (min(across, len(rows)) * width, lines * height), "white")
    for index, row in enumerate(rows):
        sheet.paste(Image.fromarray(row), (index % across * width, index // across * height))
    with atomic_file(path) as file:
        sheet.save(file, format="PNG", optimize=True)
