"""From a world and a calibrated camera to the coordinates which the rasterizer takes."""

from __future__ import annotations

import torch
from torch import Tensor

from renderer_cuda.gathering import gather_faces
from renderer_cuda.validation import ImageSize, check_floating, parse_image_size, widen

# A corner in the plane of the eye has no projection. Dividing by at least this depth keeps x, y and
# 1 / depth^2 of the backward finite; the depth itself is kept, and by it such faces are left out.
_MIN_DIVISOR = 1e-6


def project(
    vertices: Tensor,
    faces: Tensor,
    K: Tensor,  # noqa: N803 (the field's name)
    R: Tensor,  # noqa: N803
    t: Tensor,
    image_size: ImageSize,
) -> Tensor:
    """Project meshes through pinhole cameras in the convention of OpenCV.

    The camera has x right, y down and z forward, and the pixel in column u, row v has its centre at
    (u, v): depth (u, v, 1) = K (R X + t). Differentiable in everything but the faces. Seen by such
    a camera, the outside of a mesh with counter-clockwise faces counts as a back: where only fronts
    are to be drawn (double_sided=False), pass `faces.flip(1)`.

    Args:
        vertices: [B, V, 3] float32 or float64 world positions X; float16 and bfloat16 become
            float32. Depths are in the same unit: `near` and `far` of the renders are, too.
        faces: [F, 3] int64 in [0, V).
        K: [B, 3, 3] or [3, 3] intrinsics in pixels, the last row (0, 0, 1); a skew is allowed.
        R: [B, 3, 3] or [3, 3] rotations from the world to the camera.
        t: [B, 3] or [3] translations.
        image_size: (height, width) in pixels to which K belongs; an int means square.

    Returns:
        [B, F, 3, 3] face_vertices: NDC x (right), NDC y (up), the shorter side of the image
        spanning [-1, 1], and view depth.

    Raises:
        ValueError: An argument has the wrong shape, dtype or device, or K another last row.
    """
    vertices = widen(vertices)
    check_floating("vertices", vertices)
    if vertices.dim() != 3 or vertices.shape[2] != 3:
        raise ValueError(f"vertices must have shape [B, V, 3], got {list(vertices.shape)}")
    height, width = parse_image_size(image_size)
    intrinsics = _of_batch("K", K, (3, 3), vertices)
    rotation = _of_batch("R", R, (3, 3), vertices)
    translation = _of_batch("t", t, (3,), vertices)
    last = intrinsics.new_tensor([0.0, 0.0, 1.0])
    if not torch.compiler.is_compiling() and not bool((intrinsics[:, 2] == last).all()):
        raise ValueError(f"the last row of K must be (0, 0, 1), got {intrinsics[:, 2].tolist()}")
    # Not a matmul, which may run in reduced precision (TF32) for no gain at size 3.
    seen = (vertices[:, :, None] * rotation[:, None]).sum(3) + translation[:, None]
    depth = seen[..., 2]
    divisor = torch.where(depth.abs() < _MIN_DIVISOR, _MIN_DIVISOR, depth)
    ray = torch.cat((seen[..., :2] / divisor[..., None], torch.ones_like(seen[..., 2:])), 2)
    column, row = ((ray[:, :, None] * intrinsics[:, None, :2]).sum(3)).unbind(2)
    shorter = min(height, width)
    x = (2 * column + 1 - width) / shorter
    y = (height - 1 - 2 * row) / shorter
    return gather_faces(torch.stack((x, y, depth), 2), faces)


def _of_batch(name: str, tensor: Tensor, shape: tuple[int, ...], vertices: Tensor) -> Tensor:
    """Return a camera parameter for each mesh, in the dtype of the vertices."""
    batch = len(vertices)
    if not isinstance(tensor, Tensor) or tensor.shape not in (shape, (batch, *shape)):
        sizes = ", ".join(map(str, shape))
        found = list(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
        raise ValueError(f"{name} must have shape [{batch}, {sizes}] or [{sizes}], got {found}")
    if tensor.device != vertices.device:
        raise ValueError(f"{name} must be on {vertices.device} as vertices, got {tensor.device}")
    return tensor.to(vertices.dtype).expand(batch, *shape)
