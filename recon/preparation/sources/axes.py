"""The rotation from a file's own axes to the frame of models: front +X, up +Y."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def orientation(axes: str, rotation: Sequence[float] | None = None) -> NDArray[np.float64]:
    """Returns the rotation [3, 3] that brings the front to +X and up to +Y.

    Args:
        axes: The front and up directions in the file's frame, such as '-z,+y'.
        rotation: The nine numbers of a matrix, row by row, which is applied before.

    Raises:
        ValueError: If the axes are not two different directions, or there are not nine numbers.
    """
    front, _, up = axes.partition(",")
    rows = np.stack([_axis(front), _axis(up), np.cross(_axis(front), _axis(up))])
    if not rows[2].any():
        raise ValueError(f"axes must be two different directions, got {axes!r}")
    if rotation is None:
        return rows
    if len(rotation) != 9:
        raise ValueError(f"a rotation needs 9 numbers, got {len(rotation)}")
    return rows @ np.array(rotation, np.float64).reshape(3, 3)


def _axis(text: str) -> NDArray[np.float64]:
    if not re.fullmatch(r"[+-][xyz]", text):
        raise ValueError(f"axes must be two of +x -x +y -y +z -z, got {text!r}")
    return np.eye(3)["xyz".index(text[1])] * (1 if text[0] == "+" else -1)
