"""Pictures and meshes of predictions: what the numbers of a table look like."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from recon.atomic_files import atomic_file
from recon.cameras import Cameras
from recon.datasets.categories import category_of, present_categories
from recon.datasets.multiview import MultiViewDataset
from recon.evaluation import MeshPredictor
from recon.lighting import Lighting
from recon.mesh_files import save_mesh
from recon.meshes import Mesh
from recon.metrics import voxel_iou
from recon.renderer import SoftRenderer

CELL = 128  # pixels along a side of one picture of the sheet
GAP = 6
CAPTION = 18  # pixels of height for one line of text
COLUMNS = (
    "input",
    "prediction, same view",
    "prediction, 90° on",
    "truth, same view",
    "truth, 90° on",
)
GREY = (0.62, 0.66, 0.72)


@dataclass(frozen=True)
class Example:
    """One object, what a model makes of one of its views, and how it looks from another.

    Args:
        caption: category, name and IoU of this prediction.
        stem: name for its files.
        truth: [2, 4, H, W] uint8, the object in the input view and in the other one.
        mesh: the prediction from the input view.
        cameras: of the two views.
    """

    caption: str
    stem: str
    truth: Tensor
    mesh: Mesh
    cameras: Cameras


def pick_objects(data: MultiViewDataset, count: int) -> list[int]:
    """The first object of every category, then the second of every one, until there are `count`."""
    groups = [
        [index for index, synset in enumerate(data.synsets) if synset == category.synset]
        for category in present_categories(data.synsets)
    ]
    longest = max(map(len, groups))
    order = [group[turn] for turn in range(longest) for group in groups if turn < len(group)]
    return order[:count]


def make_examples(
    predictor: MeshPredictor, data: MultiViewDataset, objects: Sequence[int], view: int = 3
) -> list[Example]:
    """Predict some objects from one view each.

    Args:
        predictor: the model.
        data: the objects.
        objects: their indices.
        view: the input; 3 of the 24 ShapeNet views looks at front and side (azimuth -45). The other
            view is a quarter turn on.
    """
    first = view % data.num_views
    views = [first, (first + data.num_views // 4) % data.num_views]
    return [_example(predictor, data, index, views) for index in objects]


def _example(
    predictor: MeshPredictor, data: MultiViewDataset, index: int, views: list[int]
) -> Example:
    truth = data.images(index, views)
    vertices = predictor.vertices(truth[:1])
    iou = float(voxel_iou(predictor.voxelize(vertices).cpu(), data.voxels(index)[None]))
    category = category_of(data.synsets[index]).name
    faces: Tensor = predictor.model.faces  # type: ignore[assignment]
    return Example(
        caption=f"{category}: {data.names[index]}   IoU {100 * iou:.1f} %",
        stem=f"{category}_{re.sub(r'[^A-Za-z0-9._-]+', '-', data.ids[index])}",
        truth=truth,
        mesh=Mesh(vertices[0].float().cpu(), faces.cpu()),
        cameras=Cameras.from_rows(data.cameras(index, views)),
    )


def save_examples(folder: Path, examples: Sequence[Example]) -> list[Path]:
    """Write the predicted meshes as `meshes/STEM.obj` and all pictures as `contact_sheet.png`.

    Returns:
        The paths written, the sheet first.
    """
    meshes = folder / "meshes"
    meshes.mkdir(parents=True, exist_ok=True)
    paths = [folder / "contact_sheet.png"]
    with atomic_file(paths[0]) as file:
        contact_sheet(examples).save(file, format="PNG")
    for example in examples:
        paths.append(meshes / f"{example.stem}.obj")
        save_mesh(paths[-1], example.mesh)
    return paths


def contact_sheet(examples: Sequence[Example]) -> Image.Image:
    """Draw a row of `COLUMNS` for each example, on white."""
    height = CAPTION + len(examples) * (CELL + CAPTION + GAP)
    sheet = Image.new("RGB", (len(COLUMNS) * (CELL + GAP) + GAP, height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for column, title in enumerate(COLUMNS):
        draw.text((GAP + column * (CELL + GAP), 2), title, "black", font)
    for row, example in enumerate(examples):
        top = CAPTION + row * (CELL + CAPTION + GAP)
        draw.text((GAP, top + 2), example.caption, "black", font)
        for column, picture in enumerate(_pictures(example)):
            sheet.paste(picture, (GAP + column * (CELL + GAP), top + CAPTION))
    return sheet


def _pictures(example: Example) -> list[Image.Image]:
    """One picture per column."""
    truth = [_on_white(image.float() / 255) for image in example.truth]
    prediction = [_on_white(image) for image in shaded(example.mesh, example.cameras, CELL)]
    return [truth[0], *prediction, *truth]


def shaded(mesh: Mesh, cameras: Cameras, image_size: int) -> Tensor:
    """Render a mesh in one colour under the light of the prepared data.

    Args:
        mesh: in the world of the data.
        cameras: n viewpoints.
        image_size: pixels along a side.

    Returns:
        [n, 4, image_size, image_size] in [0, 1].
    """
    light = Lighting(ambient=0.45, directional=0.55, direction=(0.4, 1.0, -0.6), two_sided=True)
    renderer = SoftRenderer(image_size, sigma=1e-6, anti_aliasing=2, lighting=light)
    count = len(cameras)
    colors = torch.tensor(GREY).expand(count, mesh.num_faces, 3)
    with torch.no_grad():
        vertices = mesh.vertices.expand(count, -1, -1)
        return renderer(vertices, mesh.faces, colors, cameras).clamp(0, 1)


def _on_white(rgba: Tensor) -> Image.Image:
    """A square picture of an RGBA image [4, H, W] in [0, 1]."""
    opaque = rgba[:3] * rgba[3:] + (1 - rgba[3:])
    pixels = (opaque.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return picture.resize((CELL, CELL), Image.Resampling.BICUBIC)
