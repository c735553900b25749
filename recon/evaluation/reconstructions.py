"""Images of what models make of the same objects: input, predictions and truth side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from recon.datasets.categories import category_of
from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.kept_predictions import INPUT_VIEW, KeptPredictions
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.geometry.voxels import voxelize_mesh
from recon.metrics import voxel_iou
from recon.models.prediction import Prediction
from recon.rendering.compositing import over_white
from recon.visualization.contact_sheet import contact_sheet, sheet_cell
from recon.visualization.draw import draw_mesh

CELL = 128  # pixels along a side of one image of the sheet


def reconstructions_sheet(
    data: MultiViewDataset,
    objects: Sequence[int],
    models: Mapping[str, nn.Module],
    view: int = INPUT_VIEW,
) -> Image.Image:
    """Draws a row for each object: the input, the prediction of each model, and the truth.

    Every prediction is seen as the input is, and from a quarter of a turn on; the truth is the
    image of the latter. Below a prediction stands its voxel IoU, where there are true voxels.

    Args:
        data: The data set of the objects.
        objects: The indices of the objects, one for each row.
        models: The models by title; each makes a `Prediction` of images [B, 4, H, W] and has
            `faces` [F, 3].
        view: The input view.

    Raises:
        ValueError: There is no object or no model.
        OSError: The data cannot be read.
    """
    if not objects or not models:
        raise ValueError(
            f"a sheet needs an object and a model, got {len(objects)} and {len(models)}"
        )
    kept = {title: KeptPredictions(model, data) for title, model in models.items()}
    views = [view, (view + data.num_views // 4) % data.num_views]
    rows, captions, labels = [], [], []
    for index in objects:
        images = over_white(data.images(index, views).float() / 255)
        predicted = {title: one.get(index, view) for title, one in kept.items()}
        cameras = Cameras.from_rows(data.cameras(index, views))
        cells = [sheet_cell(images[0], CELL)]
        texts = [("", "black")]
        for title, prediction in predicted.items():
            faces = kept[title].faces
            cells += _two_views(prediction, faces, cameras)
            texts += [(_iou_text(prediction, faces, data, index), "black"), ("", "black")]
        rows.append([*cells, sheet_cell(images[1], CELL)])
        captions.append(f"{category_of(data.synsets[index]).name}: {data.names[index]}")
        labels.append([*texts, ("", "black")])
    titles = [text for title in models for text in (title, f"{title}, 90° on")]
    return contact_sheet(rows, ["image", *titles, "truth, 90° on"], captions, labels)


def _two_views(prediction: Prediction, faces: Tensor, cameras: Cameras) -> list[NDArray[np.uint8]]:
    colors = None if prediction.colors is None else prediction.colors[0].float()
    drawn = draw_mesh(Mesh(prediction.vertices[0], faces), cameras, CELL, colors)
    return [sheet_cell(image, CELL) for image in drawn]


def _iou_text(prediction: Prediction, faces: Tensor, data: MultiViewDataset, index: int) -> str:
    if not data.layout.voxel_resolutions:
        return ""
    truth = data.voxels(index)[None]
    voxels = voxelize_mesh(prediction.vertices, faces, truth.shape[-1])
    return f"IoU {100 * float(voxel_iou(voxels, truth)):.1f} %"
