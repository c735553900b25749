"""Images of textures, and how they go on beyond their sides."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from recon.formats.meshes.reading.textured_mesh import CLAMP, MIRROR, REPEAT
from recon.formats.meshes.reading.textures import load_texture, read_opacity, wrap_coordinates


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TGA", "TIFF", "GIF", "PCX", "PPM", "SGI"])
def test_formats_of_textures(folder, kind: str) -> None:
    pixels = np.full((4, 6, 3), (255, 0, 0), np.uint8)
    image = load_texture(folder({"t": encoded(pixels, kind)}), "t")
    assert image is not None
    assert image.shape == (4, 6, 4)
    assert np.unique(image.reshape(-1, 4), axis=0).tolist() == [[1, 0, 0, 1]]


def test_sixteen_bits_are_scaled(folder) -> None:
    image = load_texture(folder({"t": encoded(np.array([[0, 32768, 65535]], np.uint16))}), "t")
    assert image is not None
    assert (image[0, :, 0] * 255).round().tolist() == [0, 128, 255]


def test_large_images_are_made_smaller(folder) -> None:
    image = load_texture(folder({"t": encoded(np.zeros((100, 1024, 3), np.uint8))}), "t")
    assert image is not None
    assert image.shape == (50, 512, 4)


def test_alpha_that_is_no_opacity_does_not_weigh_colours(folder) -> None:
    pixels = np.zeros((1024, 1024, 4), np.uint8)
    pixels[::2] = (255, 0, 0, 4)  # a mean weighted by alpha would be blue
    pixels[1::2] = (0, 0, 255, 250)
    image = load_texture(folder({"t": encoded(pixels)}), "t", lambda alpha: False)
    assert image is not None
    assert (image[..., 3] == 1).all()
    assert image[100, 100, 0] == pytest.approx(0.5, abs=0.01)


def test_opacity_is_alpha_or_else_brightness(folder) -> None:
    grey = np.array([[0, 51, 255]], np.uint8)
    alpha = np.zeros((1, 3, 4), np.uint8)
    alpha[..., 3] = grey
    store = folder({"grey": encoded(grey), "alpha": encoded(alpha), "no": b"?"})
    for name in ("grey", "alpha"):
        found = read_opacity(store, name)
        assert found is not None
        assert found[0].tolist() == pytest.approx([0, 0.2, 1])
    with pytest.warns(UserWarning, match="texture no is not a PNG"):
        assert read_opacity(store, "no") is None


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        (REPEAT, [0.75, 0.25, 0.25, 0.5]),
        (CLAMP, [0, 0.25, 1, 1]),
        (MIRROR, [0.25, 0.25, 0.75, 0.5]),
    ],
)
def test_wrapping(mode: int, wanted: list[float]) -> None:
    values = np.array([-0.25, 0.25, 1.25, 2.5])
    assert wrap_coordinates(values, mode).tolist() == wanted
