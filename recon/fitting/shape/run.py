"""One run of shape fitting: which views it sees, what it writes and what it tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recon.command_line import Interruption
from recon.datasets.multiview import MultiViewDataset
from recon.fitting.run import FitFolder
from recon.fitting.shape.fitter import ColoredMesh, Cube, ShapeStage, fit_shape
from recon.fitting.shape.scores import (
    animation_frame,
    color_error,
    comparison,
    hull_iou_to_truth,
    score_silhouettes,
    voxel_iou_to_truth,
)
from recon.fitting.shape.view_files import Views
from recon.fitting.stages import StagedFit
from recon.formats.meshes import save_mesh
from recon.geometry.meshes import Mesh

FRAMES = ("model", "cameras")
# Views held out by default: one of so many, and not more than that.
HELD_OUT_SHARE, MOST_HELD_OUT = 6, 12
FRAME_VIEWS = 4
SHOWN_VIEWS = 12


class ShapeRun:
    """Fits a shape to some of the views and scores it in the others.

    Args:
        folder: The folder that all files are written to.
        views: All views of the object, on the device of the fit.
        cube: The cube in which the shape lies.
        holdout: The number of evenly spread views that the fit does not use; None means a sixth of
            all views, and at most 12.
        frame: The frame of the meshes written: "model" or "cameras", see `ColoredMesh.mesh`.

    Raises:
        ValueError: No view is left to fit, the views to fit are empty, or `frame` is another word.
    """

    def __init__(
        self,
        folder: FitFolder,
        views: Views,
        cube: Cube,
        holdout: int | None = None,
        frame: str = "model",
    ) -> None:
        if frame not in FRAMES:
            raise ValueError(f"output_frame must be one of {', '.join(FRAMES)}, got {frame!r}")
        if holdout is None:
            holdout = min(MOST_HELD_OUT, len(views) // HELD_OUT_SHARE)
        held, seen = split_views(len(views), holdout)
        self.folder, self.cube, self.frame = folder, cube, frame
        self.seen, self.held = views[seen], views[held] if held else None
        if not bool((self.seen.masks > 0).any()):
            raise ValueError("the images to fit show nothing: their alpha is 0 everywhere")
        self.device = views.images.device
        self.frames: list[NDArray[np.uint8]] = []

    def fit(
        self,
        template: ColoredMesh,
        stages: Sequence[ShapeStage],
        colors: bool,
        seed: int,
        frames: int,
        interruption: Interruption | None,
        progress: bool | None,
    ) -> StagedFit[ColoredMesh]:
        """Fits, and draws about so many frames on the way; arguments as of `fit_shape`."""
        steps = sum(stage.steps for stage in stages)
        every = max(1, -(-steps // max(1, frames)))
        shown = self._spread(self.held or self.seen, FRAME_VIEWS)

        def draw(step: int, shape: Callable[[], ColoredMesh]) -> None:
            if frames and (step % every == 0 or step == steps):
                self.frames.append(animation_frame(shape(), shown, self.cube))

        start = ColoredMesh(template.vertices.to(self.device), template.faces.to(self.device))
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
        self,
        fitted: StagedFit[ColoredMesh],
        data: MultiViewDataset | None = None,
        object_id: str = "",
    ) -> dict[str, Any]:
        """Writes meshes and what all fits write, and returns the content of `result.json`.

        Args:
            fitted: The result of the fit.
            data: The prepared files with the voxels of the object, if the views are from such
                files.
            object_id: The id of the object in the prepared files.
        """
        mesh = fitted.state
        for suffix in (".obj", ".ply", ".glb"):
            save_mesh(self.folder.path / f"mesh{suffix}", self._placed(mesh), mesh.colors)
        shown = self._spread(self.held or self.seen, SHOWN_VIEWS)
        return self.folder.write(
            self._result(fitted, data, object_id),
            fitted.fits,
            comparison(mesh, shown, self.cube),
            self.frames,
        )

    def _placed(self, shape: ColoredMesh) -> Mesh:
        """Returns the mesh in the frame that was asked for; "cameras" is that of a camera file."""
        if self.frame == "model" or self.seen.to_file is None:
            return shape.mesh(self.frame)
        mesh = shape.mesh("model")
        matrix = torch.from_numpy(self.seen.to_file).to(mesh.vertices)
        return replace(mesh, vertices=mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3])

    def _result(
        self, fitted: StagedFit[ColoredMesh], data: MultiViewDataset | None, object_id: str
    ) -> dict[str, Any]:
        shape = fitted.state
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
            **({} if (to_file := self.seen.to_file) is None else {"to_file": to_file.tolist()}),
            "vertices": len(shape.vertices),
            "faces": len(shape.faces),
            "seconds": [one.seconds for one in fitted.fits],
            "threads": torch.get_num_threads(),
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
            f" {result['threads']} threads; written to {self.folder.path}"
        )
        return "\n".join(lines)

    @staticmethod
    def _spread(views: Views, count: int) -> Views:
        """Returns at most so many of the views, evenly spread."""
        return views[split_views(len(views), min(count, len(views)), every=True)[0]]


def split_views(count: int, holdout: int, every: bool = False) -> tuple[list[int], list[int]]:
    """Returns the indices of views held out, evenly spread, and of the others.

    Args:
        count: The number of views.
        holdout: The number of views that are held out.
        every: Whether all views may be held out.

    Raises:
        ValueError: No view is left, or `holdout` is negative.
    """
    if holdout < 0 or (holdout >= count and not every):
        raise ValueError(f"holdout must leave some of the {count} views to fit, got {holdout}")
    held = [(2 * index + 1) * count // (2 * holdout) for index in range(holdout)]
    return held, [index for index in range(count) if index not in held]
