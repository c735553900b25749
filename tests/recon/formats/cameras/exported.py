"""A synthetic scene, rendered by this project and exported in the formats that people have."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from tests.recon.preparation.image_folders import FOCAL, SIZE, draw, look_at, matrix

Matrix = NDArray[np.float64]

FORMATS = (
    "json",
    "nerf",
    "nerf_angle",
    "colmap_text",
    "colmap_binary",
    "srn",
    "nsvf",
    "neus",
    "llff",
)
# What the format is called on the command line.
KEYS = {"nerf_angle": "nerf", "colmap_text": "colmap", "colmap_binary": "colmap", "nsvf": "srn"}
FOLDERS = {"srn": "rgb", "nsvf": "rgb", "neus": "image", "json": "."}
# Formats whose principal point is the middle of the image.
CENTERED = ("nerf_angle", "llff")
FLIP = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Similarity:
    """From the frame of models to the coordinates of a file: X = side * rotation @ x + center."""

    rotation: Matrix
    center: Matrix
    side: float

    def camera(self, rotation: Matrix, shift: Matrix) -> tuple[Matrix, Matrix]:
        """R and t of the same camera in the coordinates of the file."""
        turned = rotation @ self.rotation.T
        return turned, self.side * shift - turned @ self.center


@dataclass(frozen=True)
class Camera:
    """One view: K with pixel centres at integers, R and t in the coordinates of the file."""

    name: str
    k: Matrix
    rotation: Matrix
    shift: Matrix

    @property
    def to_world(self) -> Matrix:
        """[4, 4] from OpenCV's camera to world coordinates."""
        full = np.eye(4)
        full[:3, :3], full[:3, 3] = self.rotation.T, -self.rotation.T @ self.shift
        return full


def export(folder: Path, form: str, similarity: Similarity, views: int = 8) -> list[Camera]:
    """Write images with alpha and the camera file of one format; returns the cameras."""
    k = matrix()
    if form in CENTERED:
        k[:2, 2] = (SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2
    images = folder / FOLDERS.get(form, "images")
    images.mkdir(parents=True, exist_ok=True)
    cameras = []
    for index in range(views):
        own = look_at(360 * index / views + 20, (25, -10, 50)[index % 3])
        name = f"{index:03d}"
        draw(k, *own).save(images / f"{name}.png")
        cameras.append(Camera(name, k, *similarity.camera(*own)))
    globals()[f"write_{form}"](folder, cameras)
    return cameras


def opaque(folder: Path, masks: str = "masks") -> None:
    """Give the images a grey background, and put their masks into a folder beside theirs."""
    for path in sorted(folder.rglob("*.png")):
        image = Image.open(path)
        mask = path.parent.parent / masks / path.name
        mask.parent.mkdir(exist_ok=True)
        image.getchannel("A").save(mask)
        grey = Image.new("RGBA", image.size, (120, 125, 130, 255))
        Image.alpha_composite(grey, image).convert("RGB").save(path)


def write_json(folder: Path, cameras: list[Camera]) -> None:
    frames = [
        {
            "file": f"{c.name}.png",
            "K": c.k.tolist(),
            "R": c.rotation.tolist(),
            "t": c.shift.tolist(),
        }
        for c in cameras
    ]
    (folder / "cameras.json").write_text(json.dumps({"frames": frames}))


def _transforms(cameras: list[Camera], suffix: str) -> list[dict[str, object]]:
    flipped = np.diag([1.0, -1.0, -1.0, 1.0])
    return [
        {
            "file_path": f"./images/{c.name}{suffix}",
            "transform_matrix": (c.to_world @ flipped).tolist(),
        }
        for c in cameras
    ]


def write_nerf(folder: Path, cameras: list[Camera]) -> None:
    """As nerfstudio and instant-ngp write it: pixels are counted from the corner."""
    k = cameras[0].k
    shared = {"fl_x": k[0, 0], "fl_y": k[1, 1], "cx": k[0, 2] + 0.5, "cy": k[1, 2] + 0.5}
    frames = _transforms(cameras, ".png")
    document = {**shared, "w": SIZE[1], "h": SIZE[0], "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(document))


def write_nerf_angle(folder: Path, cameras: list[Camera]) -> None:
    """As Blender's script for NeRF writes it: an angle, names without suffix, and splits."""
    angle = 2 * np.arctan(SIZE[1] / 2 / FOCAL)
    frames = _transforms(cameras, "")
    for split, some in (("train", frames[:5]), ("val", frames[5:6]), ("test", frames[6:])):
        document = {"camera_angle_x": angle, "frames": some}
        (folder / f"transforms_{split}.json").write_text(json.dumps(document))


def _quaternion(camera: Camera) -> list[float]:
    x, y, z, w = Rotation.from_matrix(camera.rotation).as_quat()
    return [w, x, y, z]


def write_colmap_text(folder: Path, cameras: list[Camera]) -> None:
    model = folder / "sparse" / "0"
    model.mkdir(parents=True)
    k = cameras[0].k
    numbers = [k[0, 0], k[1, 1], k[0, 2] + 0.5, k[1, 2] + 0.5]
    line = " ".join(map(repr, map(float, numbers)))
    (model / "cameras.txt").write_text(f"# list\n1 PINHOLE {SIZE[1]} {SIZE[0]} {line}\n")
    lines = ["# Image list with two lines of data per image:"]
    for index, camera in reversed(list(enumerate(cameras, start=1))):
        pose = " ".join(repr(float(x)) for x in [*_quaternion(camera), *camera.shift])
        points = "1.5 2.5 -1 3.25 4 17" if index % 2 else ""
        lines += [f"{index} {pose} 1 {camera.name}.png", points]
    (model / "images.txt").write_text("\n".join(lines) + "\n")


def write_colmap_binary(folder: Path, cameras: list[Camera]) -> None:
    model = folder / "sparse" / "0"
    model.mkdir(parents=True)
    k = cameras[0].k
    numbers = [k[0, 0], k[1, 1], k[0, 2] + 0.5, k[1, 2] + 0.5]
    data = struct.pack("<Q", 1) + struct.pack("<iiQQ4d", 7, 1, SIZE[1], SIZE[0], *numbers)
    (model / "cameras.bin").write_bytes(data)
    data = struct.pack("<Q", len(cameras))
    for index, camera in enumerate(cameras):
        data += struct.pack("<i7d", index, *_quaternion(camera), *camera.shift)
        data += struct.pack("<i", 7) + f"{camera.name}.png".encode() + b"\0"
        data += struct.pack("<Q", 2) + struct.pack("<ddq", 1, 2, -1) * 2
    (model / "images.bin").write_bytes(data)


def _write_poses(folder: Path, cameras: list[Camera], per_line: int) -> None:
    (folder / "pose").mkdir()
    for camera in cameras:
        rows = camera.to_world.reshape(-1, per_line)
        text = "\n".join(" ".join(repr(float(x)) for x in row) for row in rows)
        (folder / "pose" / f"{camera.name}.txt").write_text(text)


def write_srn(folder: Path, cameras: list[Camera]) -> None:
    k = cameras[0].k
    text = (
        f"{k[0, 0]!r} {k[0, 2] + 0.5!r} {k[1, 2] + 0.5!r} 0.\n0. 0. 0.\n1.\n{SIZE[0]} {SIZE[1]}\n"
    )
    (folder / "intrinsics.txt").write_text(text.replace("np.float64(", "").replace(")", ""))
    _write_poses(folder, cameras, 16)


def write_nsvf(folder: Path, cameras: list[Camera]) -> None:
    full = np.eye(4)
    full[:3, :3] = cameras[0].k
    full[:2, 2] += 0.5
    np.savetxt(folder / "intrinsics.txt", full)
    _write_poses(folder, cameras, 4)


def write_neus(folder: Path, cameras: list[Camera]) -> None:
    """The unit sphere lies at (1, 2, 3) of coordinates 40 times as large."""
    scale = np.diag([40.0, 40, 40, 1])
    scale[:3, 3] = 1, 2, 3
    arrays = {}
    for index, camera in enumerate(cameras):
        full = np.eye(4)
        full[:3] = camera.k @ np.concatenate((camera.rotation, camera.shift[:, None]), axis=1)
        arrays[f"world_mat_{index}"] = -0.3 * full @ np.linalg.inv(scale)
        arrays[f"world_mat_{index}"][3] = 0, 0, 0, 1
        arrays[f"scale_mat_{index}"] = scale
    np.savez(folder / "cameras_sphere.npz", **arrays)


def write_llff(folder: Path, cameras: list[Camera]) -> None:
    rows = []
    for camera in cameras:
        right, down, forward, position = camera.to_world[:3].T
        size = np.array([SIZE[0], SIZE[1], camera.k[0, 0]])
        columns = np.stack((down, right, -forward, position, size), axis=1)
        rows.append(np.concatenate((columns.ravel(), [1.0, 9.0])))
    np.save(folder / "poses_bounds.npy", np.stack(rows))
