"""Examples of predictions as meshes, turntables and a contact sheet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from recon.arguments import NonNegativeInt
from recon.datasets.categories import category_of, present_categories
from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.kept_predictions import INPUT_VIEW, KeptPredictions
from recon.formats.meshes import COLORED_FORMATS, TEXTURED_FORMATS, save_mesh
from recon.geometry.cameras import Cameras
from recon.geometry.frames import turned_mesh
from recon.geometry.meshes import Mesh
from recon.geometry.voxels import voxelize_mesh
from recon.metrics import voxel_iou
from recon.models.prediction import Prediction
from recon.rendering.compositing import over_white
from recon.visualization.contact_sheet import contact_sheet, sheet_cell
from recon.visualization.draw import draw_mesh, save_png
from recon.visualization.turntable import VIDEO_FORMATS, draw_turntable, save_turntable

CELL = 128  # pixels along a side of one image of the sheet
VIEWS = 4  # from which prediction and truth are shown, evenly spread over those of the data


class ExampleFiles:
    """Writes some predictions as meshes, turntables and a contact sheet.

    Args:
        count: The number of objects that are written; 0 writes nothing.
        format: The format of the mesh files: obj, ply or glb; texels require obj or glb.
        turntable: The format of the animation of each object: gif, or mp4, which requires the
            package imageio-ffmpeg; None makes no animations.

    Raises:
        ValueError: `count` is negative, or there is no such format or turntable.
    """

    def __init__(
        self, count: NonNegativeInt = 0, format: str = "obj", turntable: str | None = "gif"
    ) -> None:
        if count < 0:
            raise ValueError(f"save_meshes must be >= 0, got {count}")
        _require_format(format)
        _require_turntable(turntable)
        self.count, self.format, self.turntable = count, format, turntable

    def require_room_for_texels(self, prediction: Prediction) -> None:
        """Refuses a format which cannot hold the textures of a model, before hours of evaluation.

        Args:
            prediction: The prediction of the model for any image.

        Raises:
            ValueError: The model predicts texels, which the format cannot hold.
        """
        textured = prediction.colors is not None and prediction.colors.dim() == 4
        if self.count and textured and f".{self.format}" not in TEXTURED_FORMATS:
            raise ValueError(
                f"format must be {_named(TEXTURED_FORMATS)} for a model with texels, "
                f"got {self.format!r}"
            )

    def save(self, predictions: KeptPredictions, folder: Path) -> list[Path]:
        """Writes `contact_sheet.png` and, below `meshes`, a mesh and a turntable of each object.

        Files have the right-handed frame of models, up +Y and front +X.

        Args:
            predictions: The predictions of the evaluation.
            folder: The folder of the files; it is created if it does not exist.

        Returns:
            The paths of the sheet and of the meshes, the sheet first; none for a count of 0.

        Raises:
            OSError: A file could not be written.
        """
        if not self.count:
            return []
        objects = pick_examples(predictions.data, self.count)
        examples = [make_example(predictions, index) for index in objects]
        meshes = folder / "meshes"
        meshes.mkdir(parents=True, exist_ok=True)
        paths = [folder / "contact_sheet.png"]
        save_png(paths[0], examples_sheet(examples))
        for example in examples:
            paths.append(meshes / f"{example.stem}.{self.format}")
            save_mesh(paths[-1], *turned_mesh(example.mesh, example.colors))
            if self.turntable is not None:
                frames = draw_turntable(example.mesh, example.colors)
                save_turntable(meshes / f"{example.stem}.{self.turntable}", frames)
        return paths


@dataclass(frozen=True)
class Example:
    """One object: a prediction from one of its views, and true images from several views.

    Args:
        caption: The category, the name and, where there are true voxels, the IoU of this
            prediction.
        stem: The name of its files without a suffix.
        truth: [n, 4, H, W] uint8 images of the object from n views; the first is the input.
        mesh: The mesh that is predicted from the input view.
        cameras: The cameras of the n views.
        colors: The colours of the prediction, [V, 3] or [F, R * R, 3] sRGB in [0, 1]; None draws it
            in grey.
    """

    caption: str
    stem: str
    truth: Tensor
    mesh: Mesh
    cameras: Cameras
    colors: Tensor | None = None


def pick_examples(data: MultiViewDataset, count: int) -> list[int]:
    """Returns the first object of every category, then the second of every one, up to `count`."""
    groups = [
        [index for index, synset in enumerate(data.synsets) if synset == category.synset]
        for category in present_categories(data.synsets)
    ]
    longest = max(map(len, groups))
    order = [group[turn] for turn in range(longest) for group in groups if turn < len(group)]
    return order[:count]


def make_example(predictions: KeptPredictions, index: int, view: int = INPUT_VIEW) -> Example:
    """Returns what the model predicts of one view of an object, beside its other views.

    Args:
        predictions: The predictions of the evaluation.
        index: The index of the object in the data.
        view: The input view; the other views follow at even steps all around.
    """
    data = predictions.data
    views = [(view + data.num_views * turn // VIEWS) % data.num_views for turn in range(VIEWS)]
    prediction = predictions.get(index, views[0])
    category = category_of(data.synsets[index]).name
    caption = f"{category}: {data.names[index]}"
    if data.layout.voxel_resolutions:
        truth = data.voxels(index)[None]
        voxels = voxelize_mesh(prediction.vertices, predictions.faces, truth.shape[-1])
        caption += f"   IoU {100 * float(voxel_iou(voxels, truth)):.1f} %"
    colors = prediction.colors
    return Example(
        caption=caption,
        stem=f"{category}_{re.sub(r'[^A-Za-z0-9._-]+', '-', data.ids[index])}",
        truth=data.images(index, views),
        mesh=Mesh(prediction.vertices[0], predictions.faces),
        cameras=Cameras.from_rows(data.cameras(index, views)),
        colors=None if colors is None else colors[0].float(),
    )


def examples_sheet(examples: Sequence[Example]) -> Image.Image:
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


def _named(suffixes: Sequence[str]) -> str:
    return " or ".join(suffix[1:] for suffix in suffixes)


def _require_format(name: str) -> None:
    if f".{name}" not in COLORED_FORMATS:
        raise ValueError(f"format must be {_named(COLORED_FORMATS)}, got {name!r}")


def _require_turntable(name: str | None) -> None:
    if name is None:
        return
    if f".{name}" not in VIDEO_FORMATS:
        raise ValueError(f"turntable must be {_named(VIDEO_FORMATS)} or null, got {name!r}")
    if name == "mp4" and find_spec("imageio_ffmpeg") is None:
        raise ValueError(
            "turntable=mp4 needs the package imageio-ffmpeg (the extra 'video'); gif needs none"
        )
