from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from recon.datasets.materials import Material, face_colors, find_image, load_texture, sample_faces

CORNERS = np.array([[(0.0, 0.0), (1, 0), (0, 1)]])


def png(pixels: list, mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.array(pixels, np.uint8), mode).save(stream, "PNG")
    return stream.getvalue()


def test_row_zero_of_a_texture_is_v_one() -> None:
    texture = np.zeros((2, 2, 4), np.float32)
    texture[..., 3] = 1
    texture[0, :, 0] = 1  # the upper half is red
    upper = CORNERS * 0.2 + np.array([0.3, 0.7])
    assert sample_faces(texture, upper)[0].tolist() == [1, 0, 0, 1]
    assert sample_faces(texture, upper - np.array([0, 0.5]))[0].tolist() == [0, 0, 0, 1]
    assert np.allclose(sample_faces(texture, upper + 7), sample_faces(texture, upper))


def test_transparent_texels_give_no_colour() -> None:
    texture = np.array([[[1, 0, 0, 1], [0, 1, 0, 0]]], np.float32)
    color = sample_faces(texture, np.array([[(0.1, 0.5), (0.9, 0.2), (0.9, 0.8)]]))[0]
    assert color[:3] == pytest.approx([1, 0, 0])
    assert 0 < color[3] < 1


def test_material_tints_its_texture(folder) -> None:
    store = folder({"t.png": png([[[200, 100, 0]]])})
    materials = [
        Material(color=(0.5, 0.5, 0.5), texture="t.png"),
        Material(color=(0.0, 0.0, 0.0), texture="t.png"),  # "no colour" of some exporters
        Material(color=(0.2, 0.4, 0.6), alpha=0.5),
    ]
    uvs = np.concatenate([CORNERS, CORNERS, CORNERS, CORNERS * np.nan])
    rgba = face_colors(store, materials, np.array([0, 1, 2, 0]), uvs)
    assert rgba[0] == pytest.approx([100 / 255, 50 / 255, 0, 1], abs=1e-6)
    assert rgba[1] == pytest.approx([200 / 255, 100 / 255, 0, 1], abs=1e-6)
    assert rgba[2] == pytest.approx([0.2, 0.4, 0.6, 0.5])
    assert rgba[3] == pytest.approx([0.5, 0.5, 0.5, 1])  # no coordinates, no texture


def test_damaged_texture_leaves_the_plain_colour(folder) -> None:
    store = folder({"t.png": b"not a picture"})
    with pytest.warns(UserWarning, match=r"t\.png is unreadable"):
        rgba = face_colors(store, [Material(texture="t.png")], np.zeros(1, int), CORNERS)
    assert rgba[0] == pytest.approx([0.7, 0.7, 0.7, 1])


def test_textures_are_shrunk_and_keep_alpha(folder) -> None:
    store = folder(
        {
            "big.png": png(np.zeros((1, 2000, 3)).tolist()),
            "clear.png": png([[[1, 2, 3, 51]]], "RGBA"),
        }
    )
    big, clear = load_texture(store, "big.png"), load_texture(store, "clear.png")
    assert big is not None
    assert clear is not None
    assert big.shape == (1, 512, 4)
    assert clear[0, 0, 3] == pytest.approx(0.2)


def test_images_are_found_by_stem_with_any_suffix(folder) -> None:
    store = folder({"skins/a.jpg": b"", "skins/b.v2.png": b""})
    assert find_image(store, ["none.tga", "skins/a.pcx"], (".png", ".jpg")) == "skins/a.jpg"
    assert find_image(store, ["skins/b.v2"], (".png",)) == "skins/b.v2.png"
    assert find_image(store, ["skins/c"], (".png",)) is None
