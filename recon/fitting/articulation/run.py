"""One run of fitting joints: what it finds, writes and shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from recon.command_line import Interruption
from recon.fitting.articulation.articulated_mesh import ArticulatedMesh
from recon.fitting.articulation.fitter import ArticulatedPoses, ArticulationFitter, middle_poses
from recon.fitting.articulation.scores import Cases, angle_errors, place_errors
from recon.fitting.drawing import difference_images, face_colors, render_colors
from recon.fitting.history import evenly_spread
from recon.fitting.run import FitFolder, silhouette_iou
from recon.fitting.stages import StagedFit
from recon.formats.meshes import save_mesh
from recon.geometry.cameras import Cameras
from recon.geometry.frames import world_vertices
from recon.geometry.meshes import Mesh
from recon.rendering.compositing import over_white
from recon.visualization.contact_sheet import contact_sheet
from recon.visualization.draw import save_png, to_pixels

CELL = 160  # pixels along the shorter side of one image
CONVENTION = (
    "angles are axis-angle vectors in degrees, each in the axes of the rest pose turned by the"
    " joints above; the axes are those of the cameras: y up, the eye of azimuth 0 at -z and +x on"
    " the right of its image, left-handed. Mesh files have y up, the front towards +x and are"
    " right-handed: (-z, y, -x) of that"
)


@dataclass(frozen=True, eq=False)
class ArticulationRun:
    """Finds how an articulated mesh stands in one image, and writes it.

    Args:
        folder: The folder that all files are written to.
        body: The articulated mesh, with colours of faces and names of joints.
        limits: [J, 3, 2] the limits of the angles in radians, see `ArticulationFitter.fit`.
        shape_names: The names of the blend shapes.
        image: [4, H, W] sRGB and alpha in [0, 1], not premultiplied.
        cameras: The one camera of the image.
        frames: The approximate number of images in the animation.
        truth: The case that the image was rendered from, where it is known.
    """

    folder: FitFolder
    body: ArticulatedMesh
    limits: Tensor
    shape_names: Sequence[str]
    image: Tensor
    cameras: Cameras
    frames: int = 60
    truth: Cases | None = None

    def fit(
        self,
        fitter: ArticulationFitter,
        move: bool,
        reshape: bool,
        interruption: Interruption | None = None,
        progress: bool | None = False,
    ) -> StagedFit[ArticulatedPoses]:
        """Fits from the middle of the limits; arguments as of `ArticulationFitter.fit`."""
        return fitter.fit(
            self.body,
            self.limits,
            self.image[None],
            self.cameras,
            move=move,
            reshape=reshape,
            interruption=interruption,
            progress=progress,
        )

    def write(self, fitted: StagedFit[ArticulatedPoses]) -> dict[str, Any]:
        """Writes meshes and what all fits write, and returns the content of `result.json`."""
        if self.truth is not None:
            save_rgba(self.folder.path / "input.png", self.image)
        mesh, colors = self._model_mesh(fitted.state)
        for suffix in (".obj", ".glb"):
            save_mesh(self.folder.path / f"mesh{suffix}", mesh, colors)
        states = evenly_spread(fitted.trajectory, self.frames)
        return self.folder.write(
            self._result(fitted),
            fitted.fits,
            self._comparison(fitted.state),
            [np.concatenate(self._cells(poses)[1:], axis=1) for poses in states],
        )

    def _result(self, fitted: StagedFit[ArticulatedPoses]) -> dict[str, Any]:
        poses = fitted.state
        rendered = self._render(poses, self.cameras, self._size)[0, 3]
        names = ("azimuth", "elevation", "distance")
        orbit = self.cameras.orbit_parameters()[0, :3].tolist()
        result = {
            **self.described(poses),
            "convention": CONVENTION,
            "camera": dict(zip(names, orbit, strict=True)),
            "silhouette_iou": silhouette_iou(rendered, self.image[3]),
            "loss": float(fitted.loss),
        }
        return result if self.truth is None else {**result, "truth": self._errors(poses)}

    def described(self, poses: ArticulatedPoses) -> dict[str, Any]:
        """Returns one pose as plain data by the names of joints and of blend shapes."""
        degrees = torch.rad2deg(poses.angles[0]).tolist()
        return {
            "joints": dict(zip(self.body.skeleton.names, degrees, strict=True)),
            "translation": poses.translation[0].tolist(),
            "shapes": dict(zip(self.shape_names, poses.coefficients[0].tolist(), strict=True)),
        }

    def _errors(self, poses: ArticulatedPoses) -> dict[str, Any]:
        """Returns the truth, and how far every joint is from it and was at the start."""
        assert self.truth is not None
        truth, names = self.truth.truth, self.body.skeleton.names
        start = middle_poses(self.body, self.limits)
        columns = {
            "degrees_before": angle_errors(start, truth)[0],
            "degrees_after": angle_errors(poses, truth)[0],
            "away_before": place_errors(self.body, start, truth)[0],
            "away_after": place_errors(self.body, poses, truth)[0],
            "shown": self.truth.visible[0],
        }
        each = {
            name: {column: float(values[joint]) for column, values in columns.items()}
            for joint, name in enumerate(names)
        }
        return {**self.described(truth), "errors": each}

    @property
    def _size(self) -> tuple[int, int]:
        return self.image.shape[1], self.image.shape[2]

    def _model_mesh(self, poses: ArticulatedPoses) -> tuple[Mesh, Tensor]:
        """Returns the mesh in the frame of models, and colours of its vertices.

        Parts do not share vertices, so that each keeps its colour.
        """
        corners = poses.vertices(self.body)[0].detach()[self.body.mesh.faces.flip(1)]
        colors = face_colors(self.body.mesh)[:, None].expand(-1, 3, -1)
        table, index = torch.unique(
            torch.cat((world_vertices(corners), colors), dim=-1).reshape(-1, 6),
            dim=0,
            return_inverse=True,
        )
        return Mesh(table[:, :3].contiguous(), index.reshape(-1, 3)), table[:, 3:].contiguous()

    def _cells(self, poses: ArticulatedPoses) -> list[NDArray[np.uint8]]:
        """Draws the start, the image, a pose, their difference, and the pose from the side."""
        size = self._enlarged_size
        seen = self._render(poses, self.cameras, size)
        wanted = torch.nn.functional.interpolate(self.image[None], size)
        images = [
            self._render(middle_poses(self.body, self.limits), self.cameras, size),
            wanted,
            seen,
            difference_images(seen[:, 3], wanted[:, 3]),
            self._render(poses, side_cameras(self.cameras), size),
        ]
        return [to_pixels(over_white(image[0])) for image in images]

    def _comparison(self, poses: ArticulatedPoses) -> Image.Image:
        start, wanted, *others = self._cells(poses)
        titles = ["input", "start", "fitted", "difference", "fitted, side"]
        cells = [wanted, start, *others]
        if self.truth is not None:
            side = side_cameras(self.cameras)
            image = self._render(self.truth.truth, side, self._enlarged_size)
            titles, cells = [*titles, "truth, side"], [*cells, to_pixels(over_white(image[0]))]
        return contact_sheet([cells], titles)

    def _render(
        self, poses: ArticulatedPoses, cameras: Cameras, image_size: tuple[int, int]
    ) -> Tensor:
        return render_colors(self.body.mesh, poses.vertices(self.body), cameras, image_size)

    @property
    def _enlarged_size(self) -> tuple[int, int]:
        scale = CELL / min(self._size)
        return round(self._size[0] * scale), round(self._size[1] * scale)


def side_cameras(cameras: Cameras) -> Cameras:
    """Returns the cameras after a quarter turn around the vertical axis of the world."""
    x, y, z = cameras.rotation.unbind(-1)
    return Cameras(torch.stack((-z, y, x), -1), cameras.translation, cameras.focal, cameras.center)


def save_rgba(path: Path, image: Tensor) -> None:
    """Writes an image [4, H, W] in [0, 1] as PNG with its alpha.

    Raises:
        OSError: The file could not be written.
    """
    pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    save_png(path, Image.fromarray(np.ascontiguousarray(pixels)))
