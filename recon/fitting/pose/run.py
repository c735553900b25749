"""One run of pose estimation: starts, the best of their ends, and what is written about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from recon.command_line import Interruption
from recon.files import atomic_file
from recon.fitting.history import Animation, joined_history, on_white, write_history
from recon.fitting.pose.files import CameraImage, ScaledMesh
from recon.fitting.pose.fitter import FittedPoses, PoseFitter, Poses
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.geometry.rotations import (
    axis_angle_to_rotation,
    random_rotations,
    rotation_to_axis_angle,
)
from recon.rendering.lighting import Lighting
from recon.rendering.renderer import SoftRenderer
from recon.runs.directory import write_json

# From the frame of a model, y up and front +z, to that of a camera it looks into.
FACING = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
# Pixels along a side of what is shown.
SHOWN = 256
FRAMES = 60  # of an animation, about
CONVENTION = (
    "x_camera = rotation @ x_mesh + translation, in the units and axes of the mesh file;"
    " camera x right, y down, z forward"
)


@dataclass(frozen=True, eq=False)
class PoseRun:
    """Finds the pose of a mesh in an image and writes it.

    Args:
        folder: where everything is written; made when it is not there.
        observed: the image with its camera.
        model: the mesh.
        search: how many starts are brought closer, of which the best go on.
        fitter: how these are.
        settings: plain data for `pose.json`.
    """

    folder: Path
    observed: CameraImage
    model: ScaledMesh
    search: PoseFitter
    fitter: PoseFitter
    settings: Mapping[str, Any]

    def fit(
        self,
        start: Tensor,
        starts: int,
        keep: int,
        seed: int,
        interruption: Interruption | None = None,
        progress: bool | None = False,
    ) -> FittedPoses:
        """Fits from one rotation, or from several, all at once.

        Args:
            start: [3] axis-angle vector in degrees, from a model which faces the camera upright.
            starts: how many; all but the first are random.
            keep: how many of them go on after the search.
            seed: of these.
            interruption: as of `PoseFitter.fit`.
            progress: likewise.

        Returns:
            The `keep` ends, with the fits and the course of these since their starts.

        Raises:
            ValueError: `starts` or `keep` is not >= 1, or `start` is not three finite angles.
        """
        if min(starts, keep) < 1 or start.shape != (3,) or not bool(torch.isfinite(start).all()):
            raise ValueError(
                "starts and keep must be >= 1 and start three finite angles,"
                f" got {starts}, {keep} and {start.tolist()}"
            )
        first = torch.tensor(FACING) @ axis_angle_to_rotation(torch.deg2rad(start))
        others = random_rotations(starts - 1, torch.Generator().manual_seed(seed))
        rotations = torch.cat((first[None], others))
        poses = Poses(rotations, self._place().expand(starts, -1))
        found = self._run(self.search, poses, interruption, progress)
        kept = found.loss.argsort(stable=True)[:keep]
        fitted = self._run(self.fitter, found.poses[kept], interruption, progress)
        before = [
            replace(one, history={name: loss[:, kept] for name, loss in one.history.items()})
            for one in found.fits
        ]
        course = [one[kept] for one in found.course] + fitted.course
        return FittedPoses(fitted.poses, fitted.loss, [*before, *fitted.fits], course)

    def _run(
        self,
        fitter: PoseFitter,
        poses: Poses,
        interruption: Interruption | None,
        progress: bool | None,
    ) -> FittedPoses:
        number = len(poses)
        return fitter.fit(
            self.model.mesh,
            self.observed.image.expand(number, -1, -1, -1),
            self.observed.cameras(number),
            poses,
            interruption=interruption,
            progress=progress,
        )

    def _place(self) -> Tensor:
        """Returns [3] where a mesh of side 1 would have the size of the mask."""
        # What is thin is opaque nowhere once it is made smaller.
        alpha = self.observed.image[3].numpy()
        mask = alpha >= 0.5 * alpha.max()
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        focal = self.observed.intrinsics[[0, 1], [0, 1]]
        depth = focal.mean() / max(np.ptp(rows) + 1, np.ptp(columns) + 1)
        middle = np.array([columns[[0, -1]].mean(), rows[[0, -1]].mean()])
        across = (middle - self.observed.intrinsics[[0, 1], 2]) / focal * depth
        return torch.tensor([*across, depth], dtype=torch.float32)

    def write(self, fitted: FittedPoses) -> dict[str, Any]:
        """Writes the pose as `pose.json`, which is returned, images, losses and the course."""
        self.folder.mkdir(parents=True, exist_ok=True)
        best = int(fitted.loss.argmin())
        pose = fitted.poses[[best]]
        result = self._result(fitted, pose, best)
        write_json(self.folder / "pose.json", result)
        with atomic_file(self.folder / "overlay.png") as file:
            Image.fromarray(self._panels(pose)).save(file, format="PNG", optimize=True)
        animation = Animation()
        for poses in fitted.course[:: max(1, len(fitted.course) // FRAMES)]:
            animation.add(self._panels(poses[[best]]))
        animation.add(self._panels(pose))
        animation.save(self.folder / "course.gif", seconds=4.0)
        history = joined_history(fitted.fits)
        write_history(self.folder, {name: loss[:, best] for name, loss in history.items()})
        return result

    def _result(self, fitted: FittedPoses, pose: Poses, best: int) -> dict[str, Any]:
        rotation, translation = self.model.file_pose(pose.rotation[0], pose.translation[0])
        rendered = self._render(pose, self.observed.image.shape[1])[3] > 0.5
        mask = self.observed.image[3] > 0.5
        iou = float((rendered & mask).sum() / (rendered | mask).sum().clamp(min=1))
        return {
            "rotation": rotation.tolist(),
            "translation": translation.tolist(),
            "axis_angle_degrees": torch.rad2deg(rotation_to_axis_angle(rotation)).tolist(),
            "convention": CONVENTION,
            "intrinsics": self.observed.whole_intrinsics.tolist(),
            "image_size": list(self.observed.whole.shape[1:]),
            "silhouette_iou": iou,
            "best_start": best,
            "losses": fitted.loss.tolist(),
            "interrupted": fitted.fits[-1].stopped == "signal",
            "settings": dict(self.settings),
        }

    def _render(self, pose: Poses, size: int) -> Tensor:
        """Renders the mesh in the place of the image, sharp and lit a little."""
        return render_sharply(
            self.model.mesh, pose.apply(self.model.mesh.vertices), self.observed.cameras(1), size
        )[0]

    def _panels(self, pose: Poses) -> NDArray[np.uint8]:
        """Draws the image, the mesh in its pose, and the outline of this on that."""
        image = torch.nn.functional.interpolate(self.observed.image[None], (SHOWN, SHOWN))[0]
        rendered = self._render(pose, SHOWN)
        return np.concatenate(
            (on_white(image), on_white(rendered), outlined(on_white(image), rendered[3])), axis=1
        )


def render_sharply(mesh: Mesh, vertices: Tensor, cameras: Cameras, size: int) -> Tensor:
    """Renders meshes [N, V, 3] for people to look at: [N, 4, size, size]."""
    light = Lighting(0.7, 0.3, direction=(0.3, -1.0, -1.0), two_sided=True)
    renderer = SoftRenderer(
        size, sigma=1e-6, near=1e-3, far=1e3, gamma=1e-7, anti_aliasing=2, lighting=light
    )
    colors = mesh.face_colors
    if colors is None:
        colors = torch.full((mesh.num_faces, 3), 0.65)
    with torch.no_grad():
        return renderer(vertices, mesh.faces, colors.expand(len(vertices), -1, -1), cameras)


def outlined(image: NDArray[np.uint8], alpha: Tensor) -> NDArray[np.uint8]:
    """Draws the outline of a silhouette [H, W] on an image [H, W, 3] in magenta."""
    inside = alpha.numpy() > 0.5
    shrunk = inside.copy()
    for axis in (0, 1):
        for shift in (-1, 1):
            shrunk &= np.roll(inside, shift, axis)
    drawn = image.copy()
    drawn[inside & ~shrunk] = (230, 0, 200)
    return drawn
