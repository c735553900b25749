"""The atlas: tiles that do not mix, and an image of the same face as the rasterizer's."""

from __future__ import annotations

import numpy as np
import pytest

from recon.formats.meshes.writing.atlas import CELL_PIXELS, GUTTER, build_atlas


@pytest.mark.parametrize("side", [1, 2, 4])
def test_tiles_hold_the_colors_of_their_face_alone(side: int) -> None:
    """So that no filter of two pixels finds a neighbour, up to the very edge of a face."""
    colors = np.arange(7, dtype=np.float32)[:, None, None] / 255
    image, uvs = build_atlas(np.tile(colors, (1, side * side, 3)))
    assert image.shape[:2] == (3 * (side * CELL_PIXELS + 2 * GUTTER),) * 2
    for face, corners in enumerate(uvs):
        x, y = corners[:, 0] * image.shape[1], (1 - corners[:, 1]) * image.shape[0]
        rows = slice(round(y.min()) - GUTTER, round(y.max()) + GUTTER)
        columns = slice(round(x.min()) - GUTTER, round(x.max()) + GUTTER)
        assert (image[rows, columns] == face).all()


def test_a_tile_of_two_by_two_by_hand() -> None:
    texels = np.tile(np.array([10, 20, 30, 40], np.float32)[None, :, None], (1, 1, 3)) / 255
    image, uvs = build_atlas(texels)
    # Cell (0, 0) is texel 0 below its diagonal and texel 3 above; 1 and 2 are beside it.
    inner = image[..., 0].astype(int)
    assert inner[1, 1] == 10
    assert inner[1, 2] == inner[2, 1] == 25
    assert inner[2, 2] == 40
    assert inner[1, 3] == inner[1, 4] == inner[0, 4] == 20
    assert inner[3, 1] == inner[4, 1] == inner[4, 0] == 30
    np.testing.assert_allclose(uvs[0] * 6, [[5, 5], [1, 1], [1, 5]], atol=1e-6)


def test_other_shapes_are_refused() -> None:
    for shape in ((3, 4), (0, 4, 3), (2, 4, 4)):
        with pytest.raises(ValueError, match="texels must be"):
            build_atlas(np.zeros(shape, np.float32))
