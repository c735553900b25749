"""One run of fitting joints: what it finds, writes and shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from recon.command_line import Interruption
from recon.files import atomic_file
from recon.fitting.articulation.articulated_mesh import ArticulatedMesh
from recon.fitting.articulation.fitter import (
    ArticulationFitter,
    FittedStance,
    Stance,
    middle_stance,
)
from recon.fitting.articulation.scores import Cases, angle_errors, place_errors
from recon.fitting.history import Animation, joined_history, on_white, write_history
from recon.fitting.shape.scores import difference_images
from recon.formats.meshes import save_mesh
from recon.geometry.cameras import Cameras
from recon.geometry.frames import world_vertices
from recon.geometry.meshes import Mesh
from recon.rendering.renderer import SoftRenderer
from recon.runs.directory import write_json

CELL = 160  # pixels along the shorter side of one image
CAPTION = 16  # pixels of height for a line of text
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
        folder: where everything is written; made when it is not there.
        body: with colours of faces and names of joints.
        limits: [J, 3, 2] radians, see `ArticulationFitter.fit`.
        shape_names: of the blend shapes.
        image: [4, H, W] sRGB and alpha in [0, 1], not premultiplied.
        cameras: one camera.
        settings: plain data for `result.json`.
        frames: images in the animation, about.
        truth: the one case of which this is the image, where it is known.
    """

    folder: Path
    body: ArticulatedMesh
    limits: Tensor
    shape_names: Sequence[str]
    image: Tensor
    cameras: Cameras
    settings: Mapping[str, Any]
    frames: int = 60
    truth: Cases | None = None

    def fit(
        self,
        fitter: ArticulationFitter,
        move: bool,
        reshape: bool,
        interruption: Interruption | None = None,
        progress: bool | None = False,
    ) -> FittedStance:
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

    def write(self, fitted: FittedStance) -> dict[str, Any]:
        """Writes meshes, images, curves and `result.json`, and returns what stands in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        result = self._result(fitted)
        write_json(self.folder / "result.json", result)
        if self.truth is not None:
            save_image(self.folder / "input.png", self.image)
        mesh, colors = self._model_mesh(fitted.stance)
        for suffix in (".obj", ".glb"):
            save_mesh(self.folder / f"mesh{suffix}", mesh, colors)
        write_history(self.folder, joined_history(fitted.fits))
        with atomic_file(self.folder / "comparison.png") as file:
            self._comparison(fitted.stance).save(file, format="PNG", optimize=True)
        animation = Animation()
        every = -(-len(fitted.course) // max(1, self.frames))
        for stance in fitted.course[::every] if self.frames > 0 else ():
            animation.add(np.concatenate(self._cells(stance)[1:], axis=1))
        animation.save(self.folder / "course.gif")
        return result

    def _result(self, fitted: FittedStance) -> dict[str, Any]:
        stance = fitted.stance
        alpha = colored_image(self.body, stance, self.cameras, self._size)[0, 3] > 0.5
        mask = self.image[3] > 0.5
        result = {
            **self.described(stance),
            "convention": CONVENTION,
            "camera": orbit_of(self.cameras),
            "silhouette_iou": float((alpha & mask).sum() / (alpha | mask).sum().clamp(min=1)),
            "loss": float(fitted.loss),
            "interrupted": fitted.fits[-1].stopped == "signal",
            "settings": dict(self.settings),
        }
        return result if self.truth is None else {**result, "truth": self._errors(stance)}

    def described(self, stance: Stance) -> dict[str, Any]:
        """Returns one stance as plain data by the names of joints and of blend shapes."""
        degrees = torch.rad2deg(stance.angles[0]).tolist()
        return {
            "joints": dict(zip(self.body.skeleton.names, degrees, strict=True)),
            "translation": stance.translation[0].tolist(),
            "shapes": dict(zip(self.shape_names, stance.coefficients[0].tolist(), strict=True)),
        }

    def _errors(self, stance: Stance) -> dict[str, Any]:
        """Returns the truth, and how far every joint is from it and was at the start."""
        assert self.truth is not None
        truth, names = self.truth.truth, self.body.skeleton.names
        start = middle_stance(self.body, self.limits)
        columns = {
            "degrees_before": angle_errors(start, truth)[0],
            "degrees_after": angle_errors(stance, truth)[0],
            "away_before": place_errors(self.body, start, truth)[0],
            "away_after": place_errors(self.body, stance, truth)[0],
            "shown": self.truth.shown[0],
        }
        each = {
            name: {column: float(values[joint]) for column, values in columns.items()}
            for joint, name in enumerate(names)
        }
        return {**self.described(truth), "errors": each}

    @property
    def _size(self) -> tuple[int, int]:
        return self.image.shape[1], self.image.shape[2]

    def _model_mesh(self, stance: Stance) -> tuple[Mesh, Tensor]:
        """Returns the mesh in the frame of models, and colours of its vertices.

        Parts do not share vertices, so that each keeps its colour.
        """
        corners = stance.vertices(self.body)[0].detach()[self.body.mesh.faces.flip(1)]
        colors = face_colors(self.body)[:, None].expand(-1, 3, -1)
        table, index = torch.unique(
            torch.cat((world_vertices(corners), colors), dim=-1).reshape(-1, 6),
            dim=0,
            return_inverse=True,
        )
        return Mesh(table[:, :3].contiguous(), index.reshape(-1, 3)), table[:, 3:].contiguous()

    def _cells(self, stance: Stance) -> list[NDArray[np.uint8]]:
        """Draws the start, the image, a stance, their difference, and it from the side."""
        start = middle_stance(self.body, self.limits)
        size = _enlarged(self._size)
        seen = colored_image(self.body, stance, self.cameras, size)
        wanted = torch.nn.functional.interpolate(self.image[None], size)
        images = [
            colored_image(self.body, start, self.cameras, size),
            wanted,
            seen,
            difference_images(seen[:, 3], wanted[:, 3]),
            colored_image(self.body, stance, side_cameras(self.cameras), size),
        ]
        return [on_white(image[0]) for image in images]

    def _comparison(self, stance: Stance) -> Image.Image:
        start, wanted, *others = self._cells(stance)
        titles = ["input", "start", "fitted", "difference", "fitted, side"]
        cells = [wanted, start, *others]
        if self.truth is not None:
            side = side_cameras(self.cameras)
            image = colored_image(self.body, self.truth.truth, side, _enlarged(self._size))
            titles, cells = [*titles, "truth, side"], [*cells, on_white(image[0])]
        return sheet(titles, [cells])


def orbit_of(cameras: Cameras) -> dict[str, float]:
    """Returns from where one camera sees the origin: azimuth, elevation in degrees, distance."""
    x, y, z = cameras.eye()[0].tolist()
    return {
        "azimuth": math.degrees(math.atan2(x, -z)),
        "elevation": math.degrees(math.atan2(y, math.hypot(x, z))),
        "distance": math.hypot(x, y, z),
    }


def face_colors(body: ArticulatedMesh) -> Tensor:
    """Returns the colours [F, 3] of a mesh, grey where it has none."""
    colors = body.mesh.face_colors
    return torch.full((body.mesh.num_faces, 3), 0.65) if colors is None else colors


def colored_image(
    body: ArticulatedMesh, stance: Stance, cameras: Cameras, image_size: tuple[int, int]
) -> Tensor:
    """Renders N stances [N, 4, H, W] for people to look at, in the colours of faces."""
    renderer = SoftRenderer(image_size, sigma=1e-6, gamma=1e-7, near=1e-3, far=1e3, anti_aliasing=2)
    colors = face_colors(body).expand(len(stance.angles), -1, -1)
    with torch.no_grad():
        return renderer(stance.vertices(body), body.mesh.faces, colors, cameras).clamp(0, 1)


def side_cameras(cameras: Cameras) -> Cameras:
    """Returns the cameras after a quarter turn around the vertical axis of the world."""
    x, y, z = cameras.rotation.unbind(-1)
    return Cameras(torch.stack((-z, y, x), -1), cameras.translation, cameras.focal, cameras.center)


def sheet(titles: Sequence[str], rows: Sequence[Sequence[NDArray[np.uint8]]]) -> Image.Image:
    """Puts images of equal size into rows below titles of the columns."""
    height, width = rows[0][0].shape[:2]
    image = Image.new("RGB", (width * len(titles), CAPTION + height * len(rows)), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(11)
    for column, title in enumerate(titles):
        draw.text((column * width + 4, 1), title, "black", font)
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            image.paste(Image.fromarray(cell), (column * width, CAPTION + row * height))
    return image


def save_image(path: Path, image: Tensor) -> None:
    """Writes an image [4, H, W] in [0, 1] as PNG with its alpha."""
    pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    with atomic_file(path) as file:
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG")


def _enlarged(size: tuple[int, int]) -> tuple[int, int]:
    scale = CELL / min(size)
    return round(size[0] * scale), round(size[1] * scale)
