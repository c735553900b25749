"""Cameras as bare matrices: SRN and NSVF, IDR, NeuS and DTU, and LLFF.

* SRN, NSVF: pose/NAME.txt with 16 numbers from OpenCV's camera to world coordinates for the image
  rgb/NAME, and intrinsics.txt: "f cx cy ..." with the sizes in its fourth line, or a matrix of
  4 x 4. The principal point is measured from the image's corner.
* IDR, NeuS, DTU: cameras_sphere.npz with world_mat_i, K [R | t], and scale_mat_i, from coordinates
  in which the object lies in the unit sphere to those of world_mat_i. The images are those of the
  folder in the order of their names.
* LLFF: poses_bounds.npy [N, 17]: 3 x 5 numbers, whose columns are the camera's axes down, right and
  backwards, its position, and (height, width, focal length); then two depths. The images are those
  of the folder in the order of their names.
"""

from __future__ import annotations

import io
import posixpath

import numpy as np

from recon.formats.cameras.frame import Frame
from recon.formats.cameras.opencv import (
    Matrix,
    find_image,
    images_in_order,
    intrinsics,
    pose,
    pose_of_camera,
)
from recon.formats.npz import Npz
from recon.formats.stores import NamedStore

# Skew of K that is rounding of a decomposition, as a share of the focal length.
SKEW = 1e-3
MAX_VIEWS = 100_000


def read_poses(cameras: NamedStore, name: str, images: NamedStore) -> list[Frame]:
    """Reads the folder pose/ of SRN or NSVF.

    Args:
        cameras: The folder of the files.
        name: The name of the file intrinsics.txt.
        images: The folder of the images.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If one is not as the module describes.
    """
    matrix, size = _intrinsics(cameras.read(name))
    folder = posixpath.join(posixpath.dirname(name), "pose")
    names = [n for n in cameras.names if posixpath.dirname(n) == folder and n.endswith(".txt")]
    if not names:
        raise ValueError(f"there are no poses {folder}/*.txt beside it")
    frames = []
    for pose_name in names:
        numbers = _numbers(cameras.read(pose_name))
        if len(numbers) != 16:
            raise ValueError(f"{pose_name} must have 16 numbers, got {len(numbers)}")
        file = find_image(images, posixpath.splitext(posixpath.basename(pose_name))[0])
        try:
            found = pose_of_camera(np.array(numbers).reshape(4, 4), flip=False)
        except ValueError as error:
            raise ValueError(f"{pose_name}: {error}") from error
        frames.append(Frame(file, None, found, {"K": matrix}, size))
    return frames


def _intrinsics(data: bytes) -> tuple[Matrix, tuple[int, int] | None]:
    """Returns K, and the size of the images where the file tells it."""
    numbers = _numbers(data)
    if len(numbers) >= 16:
        fx, fy, cx, cy = (numbers[place] for place in (0, 5, 2, 6))
        return intrinsics(fx, fy, cx, cy), None
    lines = [line.split() for line in data.decode("ascii", "replace").splitlines() if line.strip()]
    if len(lines) < 4 or len(lines[0]) < 3 or len(lines[3]) != 2:
        raise ValueError("it must be a matrix of 4 x 4, or begin with f, cx and cy and have height"
                         " and width in its fourth line")  # fmt: skip
    focal, cx, cy = numbers[:3]
    return intrinsics(focal, focal, cx, cy), (int(lines[3][0]), int(lines[3][1]))


def _numbers(data: bytes) -> list[float]:
    try:
        return [float(word) for word in data.decode("ascii", "replace").split()]
    except ValueError as error:
        raise ValueError(f"it must hold numbers: {error}") from error


def read_projections(cameras: NamedStore, name: str, images: NamedStore) -> list[Frame]:
    """Reads cameras_sphere.npz, in the coordinates in which the object lies in the unit sphere.

    Args:
        cameras: The folder of the file.
        name: The name of the file.
        images: The folder of the images.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, a matrix is none of a camera, or images are missing.
    """
    file = Npz(cameras, name)
    count = next(index for index in range(MAX_VIEWS) if f"world_mat_{index}" not in file)
    if count == 0:
        raise ValueError("it has no world_mat_0")
    frames = []
    for index, image in enumerate(images_in_order(images, count)):
        matrix = _square(file.read(f"world_mat_{index}", (None, 4)))
        if f"scale_mat_{index}" in file:
            matrix = matrix @ _square(file.read(f"scale_mat_{index}", (4, 4)))
        try:
            k, found = decompose(matrix[:3])
        except ValueError as error:
            raise ValueError(f"world_mat_{index}: {error}") from error
        frames.append(Frame(image, None, found, {"K": k}))
    return frames


def _square(matrix: Matrix) -> Matrix:
    return np.concatenate((matrix[:3].astype(np.float64), [[0.0, 0, 0, 1]]))


def decompose(projection: Matrix) -> tuple[Matrix, dict[str, Matrix]]:
    """Returns K with pixel centres at integers, and R and t, of a projection K [R | t] up to scale.

    Args:
        projection: [3, 4] the projection matrix.

    Raises:
        ValueError: If it is not finite or none of a camera without skew.
    """
    left = projection[:, :3]
    if not np.isfinite(projection).all() or abs(np.linalg.det(left)) < 1e-12:
        raise ValueError(f"it is no projection of a camera: {projection.tolist()}")
    if np.linalg.det(left) < 0:
        projection = -projection
        left = projection[:, :3]
    # RQ decomposition: QR of the matrix with rows reversed and transposed.
    q, r = np.linalg.qr(left[::-1].T)
    k, rotation = r.T[::-1, ::-1], q.T[::-1]
    signs = np.sign(k.diagonal())
    k, rotation = k * signs, rotation * signs[:, None]
    scale = k[2, 2]
    # Where the world has another unit, its length stands in K, and depths are divided by it.
    shift = np.linalg.solve(k, projection[:, 3])
    k = k / scale
    if abs(k[0, 1]) > SKEW * k[0, 0]:
        raise ValueError(f"its K has a skew of {k[0, 1]:.3g} pixels, which is not supported")
    k[0, 1] = 0.0
    return k, pose(np.concatenate((rotation, shift[:, None]), axis=1))


def read_bounds(cameras: NamedStore, name: str, images: NamedStore) -> list[Frame]:
    """Reads poses_bounds.npy of LLFF.

    Args:
        cameras: The folder of the file.
        name: The name of the file.
        images: The folder of the images.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not as the module describes, or images are missing.
    """
    table = _load(cameras, name)
    if table.ndim != 2 or table.shape[1] != 17 or table.dtype.kind != "f":
        raise ValueError(f"it must be [N, 17] of floating point, got {table.dtype} {table.shape}")
    frames = []
    files = images_in_order(images, len(table))
    for file, row in zip(files, table.astype(np.float64), strict=True):
        matrix = row[:15].reshape(3, 5)
        down, right, back, position, (height, width, focal) = matrix.T
        axes = np.stack((right, down, -back, position), axis=1)
        k = intrinsics(focal, focal, width / 2, height / 2)
        found = pose_of_camera(axes, flip=False)
        frames.append(Frame(file, None, found, {"K": k}, (int(height), int(width))))
    return frames


def _load(store: NamedStore, name: str) -> Matrix:
    try:
        return np.asarray(np.load(io.BytesIO(store.read(name)), allow_pickle=False))
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise ValueError(f"it is no readable array: {error}") from error
