"""Images that tests of several rooms change."""

from __future__ import annotations

import numpy as np


def disc(side: int = 64) -> np.ndarray:
    """An orange disc of a quarter of the side, not in the middle."""
    rows, columns = np.mgrid[0:side, 0:side]
    inside = (rows - 0.45 * side) ** 2 + (columns - 0.55 * side) ** 2 < (side / 4) ** 2
    image = np.zeros((4, side, side), np.uint8)
    image[:, inside] = np.array([240, 120, 20, 255])[:, None]
    return image
