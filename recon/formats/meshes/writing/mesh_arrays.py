"""The arrays that the writers of all formats take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class MeshArrays:
    """A mesh as arrays.

    Attributes:
        vertices: [V, 3] float32.
        faces: [F, 3] int64.
        colors: [V, 3] float32 sRGB in [0, 1], or None.
        uvs: [F, 3, 2] float32 places of the corners in the texture, u to the right and v upwards,
            or None.
        texture: [H, W, 3] uint8 sRGB, row 0 at v = 1, or None.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int64]
    colors: NDArray[np.float32] | None = None
    uvs: NDArray[np.float32] | None = None
    texture: NDArray[np.uint8] | None = None


def to_bytes(colors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns colours in [0, 1] as the nearest of 256 steps."""
    return np.round(np.clip(colors, 0, 1) * 255).astype(np.uint8)
