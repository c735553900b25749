"""Images and meshes of predictions: what the numbers of a table look like."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from recon.datasets.categories import category_of, present_categories
from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.voxel_scores import MeshPredictor
from recon.files import atomic_file
from recon.formats.meshes import save_mesh
from recon.geometry.cameras import Cameras
from recon.geometry.frames import turned_mesh
from recon.geometry.meshes import Mesh
from recon.metrics import voxel_iou
from recon.rendering.compositing import over_white
from recon.visualization.contact_sheet import contact_sheet, sheet_cell
from recon.visualization.draw import draw_mesh
from recon.visualization.turntable import draw_turntable, save_animation

CELL = 128  # pixels along a side of one image of the sheet
VIEWS = 4  # from which prediction and truth are shown, evenly spread over those of the data


@dataclass(frozen=True)
class Example:
    """One object, what a model makes of one of its views, and how it looks from others.

    Args:
        caption: category, name and, where there are true voxels, the IoU of this prediction.
        stem: name for its files.
        truth: [n, 4, H, W] uint8, the object in each of some views, the first being the input.
        mesh: the prediction from the input view.
        cameras: of the n views.
        colors: of the prediction, [V, 3] or [F, R * R, 3] sRGB in [0, 1]; None shows it in grey.
    """

    caption: str
    stem: str
    truth: Tensor
    mesh: Mesh
    cameras: Cameras
    colors: Tensor | None = None


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
            views follow at even steps all around.
    """
    views = [(view + data.num_views * turn // VIEWS) % data.num_views for turn in range(VIEWS)]
    return [_example(predictor, data, index, views) for index in objects]


def _example(
    predictor: MeshPredictor, data: MultiViewDataset, index: int, views: list[int]
) -> Example:
    truth = data.images(index, views)
    prediction = predictor.predict(truth[:1])
    category = category_of(data.synsets[index]).name
    caption = f"{category}: {data.names[index]}"
    if data.layout.voxel_resolutions:
        voxels = predictor.voxelize(prediction.vertices).cpu()
        iou = float(voxel_iou(voxels, data.voxels(index)[None]))
        caption += f"   IoU {100 * iou:.1f} %"
    colors = prediction.colors
    return Example(
        caption=caption,
        stem=f"{category}_{re.sub(r'[^A-Za-z0-9._-]+', '-', data.ids[index])}",
        truth=truth,
        mesh=Mesh(prediction.vertices[0].float().cpu(), predictor.faces.cpu()),
        cameras=Cameras.from_rows(data.cameras(index, views)),
        colors=None if colors is None else colors[0].float().cpu(),
    )


def save_examples(
    folder: Path,
    examples: Sequence[Example],
    suffix: str = ".obj",
    turntable: str | None = None,
) -> list[Path]:
    """Write the predicted meshes as `meshes/STEM.obj` and all images as `contact_sheet.png`.

    Files have the right-handed frame of models, up +Y and front +X.

    Args:
        folder: an existing one, or to be made.
        examples: what to write.
        suffix: of the format of meshes: .obj, .ply, .glb, and without colours .stl or .off.
        turntable: suffix of animations `meshes/STEM.gif` (or .mp4); None writes none.

    Returns:
        The paths of the sheet and of the meshes, the sheet first.

    Raises:
        ValueError: the format is unknown or cannot hold the colours.
        OSError: a file could not be written.
    """
    meshes = folder / "meshes"
    meshes.mkdir(parents=True, exist_ok=True)
    paths = [folder / "contact_sheet.png"]
    with atomic_file(paths[0]) as file:
        contact_sheet_of(examples).save(file, format="PNG")
    for example in examples:
        paths.append(meshes / f"{example.stem}{suffix}")
        save_mesh(paths[-1], *turned_mesh(example.mesh, example.colors))
        if turntable is not None:
            frames = draw_turntable(example.mesh, example.colors)
            save_animation(meshes / f"{example.stem}{turntable}", frames)
    return paths


def contact_sheet_of(examples: Sequence[Example]) -> Image.Image:
    """Draws for each example a row of the input, the prediction in all views, and the truth."""
    turns = [f"{360 * turn // VIEWS}° on" for turn in range(1, VIEWS)]
    places = ["same view", *turns]
    titles = [f"{what}, {place}" for what in ("prediction", "truth") for place in places]
    rows = [_cells(example) for example in examples]
    return contact_sheet(rows, ["input", *titles], [example.caption for example in examples])


def _cells(example: Example) -> list[NDArray[np.uint8]]:
    """Returns one image per column."""
    truth = over_white(example.truth.float() / 255)
    drawn = draw_mesh(example.mesh, example.cameras, CELL, example.colors)
    return [sheet_cell(image, CELL) for image in (truth[0], *drawn, *truth)]
