from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from recon.formats.meshes.reading.materials import (
    MAX_REPEATS,
    Material,
    UvTransform,
    find_image,
    paint_faces,
    sample_faces,
    tinted,
)
from recon.formats.meshes.reading.textured_mesh import CLAMP, MIRROR, REPEAT
from recon.formats.meshes.reading.textures import load_texture

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
    paint = paint_faces(store, materials, np.array([0, 1, 2, 0]), uvs)
    rgba, chosen = paint["face_rgba"], paint["face_texture"]
    assert rgba[0] == pytest.approx([100 / 255, 50 / 255, 0, 1], abs=1e-6)
    assert rgba[1] == pytest.approx([200 / 255, 100 / 255, 0, 1], abs=1e-6)
    assert rgba[2] == pytest.approx([0.2, 0.4, 0.6, 0.5])
    assert rgba[3] == pytest.approx([0.5, 0.5, 0.5, 1])  # no coordinates, no texture
    assert chosen is not None
    assert chosen.tolist() == [0, 1, -1, -1]
    assert [t[0, 0].tolist() for t in paint["textures"]] == [[100, 50, 0, 255], [200, 100, 0, 255]]
    assert paint["uvs"] is not None
    assert np.isfinite(paint["uvs"]).all(axis=(1, 2)).tolist() == [True, True, False, False]


def test_a_texture_is_kept_once_per_colour(folder) -> None:
    store = folder({"t.png": png([[[200, 100, 0]]])})
    colors = ((1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    materials = [Material(str(k), color, texture="t.png") for k, color in enumerate(colors)]
    paint = paint_faces(store, materials, np.array([0, 1, 2]), np.repeat(CORNERS, 3, axis=0))
    assert paint["face_texture"] is not None
    assert paint["face_texture"].tolist() == [0, 1, 0]
    assert len(paint["textures"]) == 2


def test_far_coordinates_come_near_and_absurd_ones_leave_the_mean(folder) -> None:
    store = folder({"t.png": png([[[0, 0, 0]], [[200, 100, 0]]])})
    shifts = np.array([-3.0, 7.0, 0.0, 1e300])[:, None, None]
    uvs = CORNERS * np.array([1, 1, 2 * MAX_REPEATS, 1])[:, None, None] + shifts
    paint = paint_faces(store, [Material(texture="t.png")], np.zeros(4, int), uvs)
    assert paint["face_texture"] is not None
    assert paint["face_texture"].tolist() == [0, 0, -1, -1]
    assert paint["uvs"] is not None
    assert paint["uvs"][:2].tolist() == [CORNERS[0].tolist()] * 2
    assert paint["face_rgba"][3] == pytest.approx([0.7, 0.7, 0.7, 1])


def test_no_texture_no_coordinates(folder) -> None:
    paint = paint_faces(folder({"x": ""}), [Material()], np.zeros(1, int), CORNERS)
    assert (paint["uvs"], paint["face_texture"], paint["textures"]) == (None, None, ())


def test_invisible_texels_take_the_colour_of_the_others() -> None:
    texture = np.array([[[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0.5]]], np.float32)
    pixels = tinted(texture, np.array([0.6, 1, 1], np.float32))[0].tolist()
    assert pixels == [[153, 0, 0, 255], [102, 0, 0, 0], [0, 0, 0, 128]]


def test_damaged_texture_leaves_the_plain_colour(folder) -> None:
    store = folder({"t.png": b"not an image"})
    with pytest.warns(UserWarning, match=r"t\.png is not a"):
        paint = paint_faces(store, [Material(texture="t.png")], np.zeros(1, int), CORNERS)
    assert paint["textures"] == ()
    assert paint["face_rgba"][0] == pytest.approx([0.7, 0.7, 0.7, 1])


def test_textures_are_shrunk_and_keep_alpha(folder) -> None:
    store = folder(
        {
            "big.png": png(np.zeros((1, 2000, 3)).tolist()),
            "clear.png": png([[[1, 2, 3, 51]]], "RGBA"),
            "unused.png": png([[[1, 2, 3, 0], [3, 2, 1, 0]]], "RGBA"),
        }
    )
    big, clear, unused = (load_texture(store, f"{n}.png") for n in ("big", "clear", "unused"))
    assert big is not None
    assert clear is not None
    assert unused is not None
    assert unused[..., 3].tolist() == [[1, 1]]
    assert big.shape == (1, 512, 4)
    assert clear[0, 0, 3] == pytest.approx(0.2)


def test_images_are_found_by_stem_with_any_suffix(folder) -> None:
    store = folder({"skins/a.jpg": b"", "skins/b.v2.png": b""})
    assert find_image(store, ["none.tga", "skins/a.pcx"], (".png", ".jpg")) == "skins/a.jpg"
    assert find_image(store, ["skins/b.v2"], (".png",)) == "skins/b.v2.png"
    assert find_image(store, ["skins/c"], (".png",)) is None


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_texture_of_absurd_size_is_not_decoded(folder) -> None:
    header = png([[[1, 2, 3]]])
    lie = header[:16] + (20_000).to_bytes(4, "big") + (8_000).to_bytes(4, "big") + header[24:]
    checksum = zlib.crc32(lie[12:29]).to_bytes(4, "big")
    store = folder({"t.png": lie[:29] + checksum + lie[33:]})
    with pytest.warns(UserWarning, match=r"t\.png is unreadable: 20000 x 8000 pixels"):
        assert load_texture(store, "t.png") is None


def test_places_of_textures_and_how_they_go_on(folder) -> None:
    store = folder({"t.png": png([[[255, 0, 0], [0, 255, 0]]])})  # left red, right green
    uvs = np.array([[[0.1, 0], [0.4, 0], [0.1, 1]]])
    shifted = UvTransform(((2.0, 0.0), (0.0, 1.0)), (1.0, 0.0))  # u from 1.2 to 1.8
    wanted = {REPEAT: [0.5, 0.5], CLAMP: [0, 1], MIRROR: [0.5, 0.5]}
    for mode, (red, green) in wanted.items():
        white = Material(color=(1, 1, 1), texture="t.png", transform=shifted, wrap=(mode, REPEAT))
        paint = paint_faces(store, [white], np.zeros(1, np.int64), uvs)
        assert paint["uvs"] is not None
        low = {REPEAT: 0.2, CLAMP: 1.2, MIRROR: 1.2}[mode]
        assert paint["uvs"][0, :, 0].tolist() == pytest.approx([low, low + 0.6, low])
        assert paint["texture_wraps"] == (() if mode == REPEAT else ((mode, REPEAT),))
        if mode == CLAMP:
            assert paint["face_rgba"][0].tolist() == [red, green, 0, 1]


def test_mirrored_textures_are_sampled_backwards() -> None:
    texture = np.zeros((1, 2, 4), np.float32)
    texture[0, 0], texture[0, 1] = (1, 0, 0, 1), (0, 1, 0, 1)
    uvs = np.array([[[1.6, 0], [1.9, 0], [1.6, 1]]])  # mirrored, that is 0.4 to 0.1
    assert sample_faces(texture, uvs, (MIRROR, REPEAT))[0].tolist() == [1, 0, 0, 1]
    assert sample_faces(texture, uvs)[0].tolist() == [0, 1, 0, 1]


def test_base_and_gain(folder) -> None:
    store = folder({"t.png": png([[[0, 255, 255]]])})
    dull = Material(color=(1, 1, 1), texture="t.png", gain=(0.2, 0.5))
    paint = paint_faces(store, [dull], np.zeros(1, np.int64), np.zeros((1, 3, 2)))
    assert paint["face_rgba"][0].tolist() == pytest.approx([0.2, 0.7, 0.7, 1])


def test_faces_that_only_seem_to_lie_in_a_hole_are_kept(folder) -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, ::16] = 255  # thin bars between which all seven samples may lie
    store = folder({"t.png": png(pixels.tolist(), "RGBA")})
    bars = Material(color=(1, 1, 1), texture="t.png")
    uvs = np.array([[[0.03, 0.0], [0.3, 0.0], [0.03, 1.0]], [[0.03, 0], [0.2, 0], [0.03, 1]]])
    paint = paint_faces(store, [bars], np.zeros(2, np.int64), uvs)
    assert 0.02 < paint["face_rgba"][0, 3] < 0.12
    assert paint["face_rgba"][1, 3] == 0


def test_cutoffs_count_the_opacity_of_the_material(folder) -> None:
    store = folder({"t.png": png([[[255, 0, 0, 200]]], "RGBA")})
    for alpha, wanted in ((1.0, 1), (0.6, 0)):
        cut = Material(color=(1, 1, 1), alpha=alpha, texture="t.png", cutoff=0.5)
        paint = paint_faces(store, [cut], np.zeros(1, np.int64), np.zeros((1, 3, 2)))
        assert paint["face_rgba"][0].tolist() == [1, 0, 0, wanted]
        plain = Material(color=(1, 0, 0), alpha=alpha * 0.7, cutoff=0.5)
        paint = paint_faces(store, [plain], np.zeros(1, np.int64), np.zeros((1, 3, 2)))
        assert paint["face_rgba"][0].tolist() == [1, 0, 0, wanted]
