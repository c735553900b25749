"""One run of shape fitting: which views it sees, what it writes and what it tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from recon.command_line import Interruption
from recon.datasets.multiview import MultiViewDataset
from recon.files import atomic_file
from recon.fitting.history import Animation, joined_history, write_history
from recon.fitting.shape.fitter import Cube, FittedShape, Shape, Stage, fit_shape
from recon.fitting.shape.scores import (
    color_error,
    comparison,
    course_frame,
    hull_iou_to_truth,
    score_silhouettes,
    voxel_iou_to_truth,
)
from recon.fitting.shape.view_files import Views
from recon.formats.meshes import save_mesh
from recon.runs.directory import write_json

FRAME_VIEWS = 4
SHOWN_VIEWS = 12


class ShapeRun:
    """Fits a shape to some of the views and scores it in the others.

    Args:
        folder: where everything is written; made when it is not there.
        views: all views, on the device of the fit.
        cube: in which the shape lies.
        holdout: how many views, evenly spread, the fit does not see.
        settings: plain data for `result.json`.

    Raises:
        ValueError: no view is left to fit, or those to fit show nothing.
    """

    def __init__(
        self,
        folder: Path,
        views: Views,
        cube: Cube,
        holdout: int,
        settings: Mapping[str, Any],
    ) -> None:
        held, seen = split_views(len(views), holdout)
        self.folder, self.cube, self.settings = folder, cube, dict(settings)
        self.seen, self.held = views[seen], views[held] if held else None
        if not bool((self.seen.masks > 0).any()):
            raise ValueError("the images to fit show nothing: their alpha is 0 everywhere")
        self.device = views.images.device
        self.animation = Animation()
        folder.mkdir(parents=True, exist_ok=True)

    def fit(
        self,
        template: Shape,
        stages: Sequence[Stage],
        colors: bool,
        seed: int,
        frames: int,
        interruption: Interruption | None,
        progress: bool | None,
    ) -> FittedShape:
        """Fits, and draws about so many frames of the course; arguments as of `fit_shape`."""
        steps = sum(stage.steps for stage in stages)
        self.animation = Animation(every=max(1, -(-steps // max(1, frames))))
        shown = self._spread(self.held or self.seen, FRAME_VIEWS)

        def draw(step: int, shape: Callable[[], Shape]) -> None:
            if frames and (self.animation.wants(step) or step == steps):
                self.animation.add(course_frame(shape(), shown, self.cube))

        start = Shape(template.vertices.to(self.device), template.faces.to(self.device))
        return fit_shape(
            self.seen,
            start,
            stages,
            self.cube,
            colors=colors,
            seed=seed,
            on_step=draw,
            interruption=interruption,
            progress=progress,
        )

    def write(
        self, fitted: FittedShape, data: MultiViewDataset | None = None, object_id: str = ""
    ) -> dict[str, Any]:
        """Writes meshes, images, curves and `result.json`, and returns what stands in it.

        Args:
            fitted: what was found.
            data: prepared files with the voxels of the object, if that is what the views show.
            object_id: its id.
        """
        shape = fitted.shape
        for suffix in (".obj", ".ply", ".glb"):
            save_mesh(self.folder / f"mesh{suffix}", shape.model_mesh(), shape.colors)
        self.animation.save(self.folder / "course.gif")
        write_history(self.folder, joined_history(fitted.fits))
        shown = self._spread(self.held or self.seen, SHOWN_VIEWS)
        with atomic_file(self.folder / "comparison.png") as file:
            comparison(shape, shown, self.cube).save(file, format="PNG", optimize=True)
        result = self._result(fitted, data, object_id)
        write_json(self.folder / "result.json", result)
        return result

    def _result(
        self, fitted: FittedShape, data: MultiViewDataset | None, object_id: str
    ) -> dict[str, Any]:
        shape = fitted.shape
        groups = {"fitted": self.seen} | ({"held_out": self.held} if self.held else {})
        result: dict[str, Any] = {
            name: {
                **score_silhouettes(shape, views).summary(),
                "color_error": color_error(shape, views, self.cube),
            }
            for name, views in groups.items()
        }
        if data is not None and data.layout.voxel_resolutions:
            result["voxel_iou"] = voxel_iou_to_truth(shape, data, object_id)
            result["hull_voxel_iou"] = hull_iou_to_truth(self.seen, data, object_id)
        return {
            **result,
            "vertices": len(shape.vertices),
            "faces": len(shape.faces),
            "seconds": fitted.seconds,
            "threads": torch.get_num_threads(),
            "interrupted": fitted.interrupted,
            "settings": self.settings,
        }

    def table(self, result: Mapping[str, Any]) -> str:
        """Returns the scores as text for a terminal."""
        lines = ["views      number   IoU %  least %  area IoU %  colour error"]
        for name in ("fitted", "held_out"):
            if name in result:
                row = result[name]
                error = row["color_error"]
                lines.append(
                    f"{name.replace('_', ' '):10} {row['views']:6} {100 * row['iou']:7.2f}"
                    f" {100 * row['least_iou']:8.2f} {100 * row['area_iou']:11.2f}"
                    f" {'-' if error is None else f'{error:.4f}':>13}"
                )
        if "voxel_iou" in result:
            lines.append(
                f"voxel IoU to the truth: {100 * result['voxel_iou']:.2f} %; of the visual hull of"
                f" the fitted views: {100 * result['hull_voxel_iou']:.2f} %"
            )
        seconds = sum(result["seconds"])
        lines.append(
            f"{result['vertices']} vertices, {result['faces']} faces, {seconds:.0f} s on"
            f" {result['threads']} threads; written to {self.folder}"
        )
        return "\n".join(lines)

    @staticmethod
    def _spread(views: Views, count: int) -> Views:
        """Returns at most so many of the views, evenly spread."""
        return views[split_views(len(views), min(count, len(views)), every=True)[0]]


def split_views(count: int, holdout: int, every: bool = False) -> tuple[list[int], list[int]]:
    """Returns the indices of views held out, evenly spread, and of the others.

    Args:
        count: number of views.
        holdout: how many to hold out.
        every: whether all may be held out.

    Raises:
        ValueError: no view is left, or `holdout` is negative.
    """
    if holdout < 0 or (holdout >= count and not every):
        raise ValueError(f"holdout must leave some of the {count} views to fit, got {holdout}")
    held = [(2 * index + 1) * count // (2 * holdout) for index in range(holdout)]
    return held, [index for index in range(count) if index not in held]
