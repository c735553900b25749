"""One run of pose estimation: starts, the best of their ends, and what is written about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from recon.command_line import Interruption
from recon.fitting.drawing import outlined, render_colors, with_axes
from recon.fitting.fit import Fit
from recon.fitting.history import evenly_spread
from recon.fitting.pose.files import CameraImage, ScaledMesh
from recon.fitting.pose.fitter import PoseFitter, Poses
from recon.fitting.run import FitFolder, silhouette_iou
from recon.fitting.stages import StagedFit
from recon.geometry.rotations import (
    axis_angle_to_rotation,
    random_rotations,
    rotation_to_axis_angle,
)
from recon.rendering.compositing import over_white
from recon.rendering.lighting import Lighting
from recon.visualization.draw import to_pixels

# From the frame of a model, y up and front +z, to that of a camera it looks into.
FACING = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
# Pixels along a side of what is shown.
SHOWN = 256
FRAMES = 60  # of an animation, about
LIGHT = Lighting(0.7, 0.3, direction=(0.3, -1.0, -1.0), two_sided=True)
CONVENTION = (
    "x_camera = rotation @ x_mesh + translation, in the units and axes of the mesh file;"
    " camera x right, y down, z forward"
)


@dataclass(frozen=True, eq=False)
class PoseRun:
    """Finds the pose of a mesh in an image and writes it.

    Args:
        folder: The folder that all files are written to.
        observed: The image with its camera.
        model: The mesh whose pose is found.
        search: The fitter of the search, which brings many starts closer to the pose; the best of
            them go on.
        fitter: The fitter that refines the best results of the search.
    """

    folder: FitFolder
    observed: CameraImage
    model: ScaledMesh
    search: PoseFitter
    fitter: PoseFitter

    def fit(
        self,
        start: Tensor,
        starts: int,
        keep: int,
        seed: int,
        interruption: Interruption | None = None,
        progress: bool | None = False,
    ) -> StagedFit[Poses]:
        """Fits from one rotation, or from several, all at once.

        Args:
            start: [3] the first start, an axis-angle vector in degrees from a model which faces the
                camera upright.
            starts: The number of starts; all but the first are random.
            keep: The number of starts that go on after the search.
            seed: The seed of the random starts.
            interruption: An entered context, whose signal ends the fit.
            progress: Whether to draw a progress bar; None draws it on a terminal only.

        Returns:
            The fit of the `keep` best from their starts to their ends.

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
        best = replace(found.select(kept), fits=[_of_problems(one, kept) for one in found.fits])
        return best.then(self._run(self.fitter, best.state, interruption, progress))

    def _run(
        self,
        fitter: PoseFitter,
        poses: Poses,
        interruption: Interruption | None,
        progress: bool | None,
    ) -> StagedFit[Poses]:
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

    def write(self, fitted: StagedFit[Poses]) -> dict[str, Any]:
        """Writes the best pose as `pose.json`, whose content is returned, and what shows it."""
        best = fitted.loss.argmin()[None]
        pose = fitted.state[best]
        states = evenly_spread(fitted.trajectory, FRAMES)
        return self.folder.write(
            self._result(fitted, pose, int(best)),
            [_of_problems(one, best) for one in fitted.fits],
            Image.fromarray(self._panels(pose)),
            [self._panels(poses[best]) for poses in states],
            seconds=4.0,
        )

    def _result(self, fitted: StagedFit[Poses], pose: Poses, best: int) -> dict[str, Any]:
        rotation, translation = self.model.file_pose(pose.rotation[0], pose.translation[0])
        rendered = self._render(pose, self.observed.image.shape[1])[3]
        return {
            "rotation": rotation.tolist(),
            "translation": translation.tolist(),
            "axis_angle_degrees": torch.rad2deg(rotation_to_axis_angle(rotation)).tolist(),
            "convention": CONVENTION,
            "intrinsics": self.observed.whole_intrinsics.tolist(),
            "image_size": list(self.observed.whole.shape[1:]),
            "silhouette_iou": silhouette_iou(rendered, self.observed.image[3]),
            "best_start": best,
            "losses": fitted.loss.tolist(),
        }

    def _render(self, pose: Poses, size: int) -> Tensor:
        """Renders the mesh in the place of the image, sharp and lit a little."""
        mesh = self.model.mesh
        vertices = pose.apply(mesh.vertices)
        return render_colors(mesh, vertices, self.observed.cameras(1), size, LIGHT)[0]

    def _panels(self, pose: Poses) -> NDArray[np.uint8]:
        """Draws the image, the mesh in its pose, and the image with its outline and axes."""
        image = torch.nn.functional.interpolate(self.observed.image[None], (SHOWN, SHOWN))[0]
        rendered = self._render(pose, SHOWN)
        shown, mesh = to_pixels(over_white(image)), to_pixels(over_white(rendered))
        origin, ends = pose.translation[0], pose.apply(0.5 * torch.eye(3))[0]
        overlay = outlined(shown, rendered[3])
        overlay = with_axes(overlay, self.observed.cameras(1), origin, ends)
        return np.concatenate((shown, mesh, overlay), axis=1)


def _of_problems(found: Fit, index: Tensor) -> Fit:
    """Returns the fit of some of N problems."""
    history = {name: losses[:, index] for name, losses in found.history.items()}
    return replace(
        found,
        best_loss=found.best_loss[index],
        best_step=found.best_step[index],
        history=history,
    )
