"""Scores of a fitted shape against views and voxels, and images of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from recon.datasets.multiview import MultiViewDataset
from recon.fitting.drawing import Crop, difference_images
from recon.fitting.shape.fitter import ColoredMesh, Cube, depth_range
from recon.fitting.shape.view_files import Views
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import gather_rows
from recon.geometry.voxels import voxelize_mesh
from recon.metrics import voxel_iou
from recon.preparation.checks.visual_hull import visual_hull
from recon.rendering.lighting import Lighting
from recon.rendering.renderer import SoftRenderer
from recon.visualization.contact_sheet import contact_sheet
from recon.visualization.draw import GREY

# Samples along a side of a pixel, and of the whole image, when silhouettes are compared.
SUPERSAMPLING = 8
MAX_SAMPLES = 1024
# Softness far below a sample: each is inside or not.
HARD_SIGMA = 1e-9
HULL_REACHES = (0.0, 0.5)  # in voxel sides
RENDER_TIMES = 2  # small images are shown larger than they are


@dataclass(frozen=True, eq=False)
class SilhouetteScore:
    """Agreement of silhouettes with masks, per view.

    Args:
        hard: [N] IoU of the pixels of which at least half is covered.
        area: [N] IoU of covered areas, sum(min(a, m)) / sum(max(a, m)); it reaches 1 only where
            truth and prediction smooth their edges in the same way.
    """

    hard: Tensor
    area: Tensor

    def summary(self) -> dict[str, float | int]:
        """Returns the number of views, and of each IoU mean and least."""
        return {
            "views": len(self.hard),
            "iou": float(self.hard.mean()),
            "least_iou": float(self.hard.min()),
            "area_iou": float(self.area.mean()),
            "least_area_iou": float(self.area.min()),
        }


def score_silhouettes(shape: ColoredMesh, views: Views) -> SilhouetteScore:
    """Compares silhouettes, rendered hard with 8 x 8 samples per pixel, with the masks of views."""
    alpha, masks = coverage(shape, views), views.masks
    return SilhouetteScore(
        hard=_iou((alpha >= 0.5).float(), (masks >= 0.5).float()), area=_iou(alpha, masks)
    )


def coverage(shape: ColoredMesh, views: Views) -> Tensor:
    """Returns the share [N, H, W] of each pixel that the shape covers, by hard samples."""
    samples = max(1, min(SUPERSAMPLING, MAX_SAMPLES // min(views.image_size)))
    renderer = SoftRenderer(
        views.image_size, sigma=HARD_SIGMA, distance="hard", alpha="hard", anti_aliasing=samples
    )
    with torch.no_grad():
        rows = [
            renderer.silhouette(shape.vertices[None], shape.faces, views.cameras[index])
            for index in range(len(views))
        ]
    return torch.cat(rows).clamp(0, 1)


def _iou(prediction: Tensor, truth: Tensor) -> Tensor:
    union = torch.maximum(prediction, truth).sum((1, 2))
    shared = torch.minimum(prediction, truth).sum((1, 2))
    return torch.where(union > 0, shared / union.clamp(min=1e-12), 1.0)  # two empty ones agree


def color_error(shape: ColoredMesh, views: Views, cube: Cube) -> float | None:
    """Returns the mean absolute difference of colours where both are opaque; None without any."""
    if shape.colors is None:
        return None
    rendered = render(shape, views.cameras, views.image_size, cube)
    where = (rendered[:, 3:] > 0.5) & (views.images[:, 3:] > 0.5)
    difference = (rendered[:, :3] - views.images[:, :3]).abs() * where
    return float(difference.sum() / (3 * where.sum()).clamp(min=1))


def voxel_iou_to_truth(shape: ColoredMesh, data: MultiViewDataset, object_id: str) -> float:
    """Returns the IoU with the voxels of an object, by the protocol of the evaluation."""
    truth = data.voxels(data.ids.index(object_id))
    voxels = voxelize_mesh(shape.vertices[None].cpu(), shape.faces.cpu(), len(truth))
    return float(voxel_iou(voxels, truth[None]))


def hull_iou_to_truth(views: Views, data: MultiViewDataset, object_id: str) -> float:
    """Returns that IoU of the visual hull, the largest shape with the silhouettes of the views.

    The better one of two: voxels with their centre inside all silhouettes, and those touching them.
    """
    truth = data.voxels(data.ids.index(object_id))
    masks, cameras = (views.masks >= 0.5).cpu(), views.cameras.to("cpu")
    hulls = [visual_hull(masks, cameras, len(truth), reach) for reach in HULL_REACHES]
    return max(float(voxel_iou(hull[None], truth[None])) for hull in hulls)


# --- Images -------------------------------------------------------------------------------------


def render(
    shape: ColoredMesh, cameras: Cameras, image_size: tuple[int, int], cube: Cube, times: int = 1
) -> Tensor:
    """Renders the shape in its colours, or without any in grey under a light.

    Args:
        shape: The shape that is rendered.
        cameras: The N cameras of the images.
        image_size: (height, width) in pixels.
        cube: The cube of the fit, which gives the range of depths.
        times: The factor by which the images are larger than `image_size`.

    Returns:
        [N, 4, times * height, times * width] in [0, 1].
    """
    near, far = depth_range(cameras, cube)
    light = Lighting(ambient=0.45, directional=0.55, direction=(0.4, 1.0, -0.6), two_sided=True)
    renderer = SoftRenderer(
        [times * side for side in image_size],
        sigma=1e-6,
        anti_aliasing=2,
        near=near,
        far=far,
        lighting=light if shape.colors is None else None,
    )
    count = len(cameras)
    grey = shape.vertices.new_tensor(GREY).expand(len(shape.vertices), 3)
    textures = gather_rows(grey if shape.colors is None else shape.colors, shape.faces)
    with torch.no_grad():
        return renderer(
            shape.vertices.expand(count, -1, -1),
            shape.faces,
            textures.expand(count, -1, -1, -1),
            cameras,
        ).clamp(0, 1)


def comparison(shape: ColoredMesh, views: Views, cube: Cube, columns: int = 3) -> Image.Image:
    """Draws for every view the truth, the rendering, and where their silhouettes differ.

    In the third image red is missing and blue is too much. All are cropped to where some view has
    the object.

    Args:
        shape: The fitted shape.
        views: The true views of the shape.
        cube: The cube of the fit, which gives the range of depths.
        columns: The number of views in a row.
    """
    rendered = render(shape, views.cameras, views.image_size, cube, times=RENDER_TIMES)
    differences = difference_images(coverage(shape, views), views.masks)
    crop = Crop.of_object(views.masks)
    cells = [
        crop.cell(image)
        for images in zip(views.images, rendered, differences, strict=True)
        for image in images
    ]
    across = 3 * min(columns, len(views))
    rows = [cells[first : first + across] for first in range(0, len(cells), across)]
    return contact_sheet(rows, ("truth", "fitted", "difference") * (across // 3))


def animation_frame(shape: ColoredMesh, views: Views, cube: Cube) -> NDArray[np.uint8]:
    """Draws an unfinished shape in some views above what it should look like there."""
    rendered = render(shape, views.cameras, views.image_size, cube, times=RENDER_TIMES)
    crop = Crop.of_object(views.masks)
    rows = [
        np.concatenate([crop.cell(image) for image in images], axis=1)
        for images in (rendered, views.images)
    ]
    return np.concatenate(rows, axis=0)
