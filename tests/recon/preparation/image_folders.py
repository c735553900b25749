"""Folders of a user's own images, made by projecting a mesh with K, R and t of OpenCV alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from renderer_cuda import soft_rasterize

Array = NDArray[np.float64]
Record = dict[str, Any]

# Low and high corners in the frame of models: an armchair of which no two sides look the same.
BOXES = (
    ((-0.30, -0.10, -0.35), (0.30, 0.05, 0.35)),  # seat
    ((-0.30, 0.05, -0.35), (-0.15, 0.50, 0.35)),  # back
    ((-0.15, 0.05, 0.20), (0.30, 0.25, 0.35)),  # one arm rest
    ((0.10, -0.50, -0.35), (0.30, -0.10, -0.15)),  # one leg
)
SIZE = (48, 64)
FOCAL = 70.0


def boxes() -> tuple[Array, NDArray[np.int64]]:
    """Vertices [32, 3] and faces [48, 3] of `BOXES`."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    vertices = np.concatenate([np.array(low) * (1 - corners) + np.array(high) * corners
                               for low, high in BOXES])  # fmt: skip
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4],
                      [1, 5, 7, 3]])  # fmt: skip
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return vertices, np.concatenate([faces + 8 * k for k in range(len(BOXES))])


def look_at(azimuth: float, elevation: float, distance: float = 2.0) -> tuple[Array, Array]:
    """R and t of a camera of OpenCV that sees the origin; azimuth 0 looks at the front, +X."""
    a, e = np.radians(azimuth), np.radians(elevation)
    eye = distance * np.array([np.cos(e) * np.cos(a), np.sin(e), -np.cos(e) * np.sin(a)])
    forward = -eye / distance
    right = np.cross(forward, [0, 1, 0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return rotation, -rotation @ eye


def matrix(size: tuple[int, int] = SIZE, focal: float = FOCAL) -> Array:
    """K with the principal point a little off the middle."""
    return np.array([[focal, 0, size[1] / 2 + 1.5], [0, focal, size[0] / 2 - 2.5], [0, 0, 1]])


def draw(k: Array, rotation: Array, shift: Array, size: tuple[int, int] = SIZE) -> Image.Image:
    """The boxes as u = K (R X + t) shows them, each side in a colour of its own."""
    vertices, faces = boxes()
    view = vertices @ rotation.T + shift
    pixels = (view / view[:, 2:]) @ k.T
    height, width = size
    ndc = np.stack(
        [(2 * pixels[:, 0] + 1 - width), (height - 1 - 2 * pixels[:, 1])], axis=1
    ) / min(size)  # fmt: skip
    corners = torch.from_numpy(np.concatenate([ndc, view[:, 2:]], axis=1)[faces]).float()[None]
    shades = torch.linspace(0.2, 0.9, len(faces))[None, :, None, None]
    colors = (shades * torch.tensor([1.0, 0.8, 0.5])).expand(1, len(faces), 3, 3).contiguous()
    rgba = soft_rasterize(corners, colors, size, sigma=1e-8, color="hard", alpha="hard", near=0.1)
    array = (rgba[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    return Image.fromarray(np.ascontiguousarray(array), "RGBA")


def frame_records(views: int = 6) -> list[Record]:
    """Records of a file of cameras, around the object and at three heights."""
    records = []
    for index in range(views):
        rotation, shift = look_at(360 * index / views + 20, (25, -10, 50)[index % 3])
        camera = {"K": matrix().tolist(), "R": rotation.tolist(), "t": shift.tolist()}
        records.append({"file": f"{index:03d}.png", **camera})
    return records


def write_object(
    folder: Path,
    views: int = 6,
    mistake: Callable[[Record], Record] = lambda record: record,
    mesh: bool = False,
) -> None:
    """Write images with alpha, and their cameras as a user may have mistaken them."""
    folder.mkdir(parents=True)
    records = frame_records(views)
    for record in records:
        camera = (np.array(record[key]) for key in ("K", "R", "t"))
        draw(*camera).save(folder / record["file"])
    write_cameras(folder, [mistake(record) for record in records])
    if mesh:
        write_mesh(folder / "mesh.obj")


def write_cameras(folder: Path, records: list[Record], **shared: Any) -> None:
    (folder / "cameras.json").write_text(json.dumps({**shared, "frames": records}))


def write_mesh(path: Path) -> None:
    vertices, faces = boxes()
    lines = [f"v {x} {y} {z}" for x, y, z in vertices]
    lines += [f"f {a} {b} {c}" for a, b, c in faces + 1]
    path.write_text("\n".join(lines) + "\n")
