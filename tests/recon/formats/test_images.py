from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon.formats.images import (
    PixelMap,
    fit_image,
    read_mask,
    read_rgba,
    resize_rgba,
)
from recon.formats.stores import FolderStore
from recon.geometry.cameras import Cameras


def encoded(array: np.ndarray, mode: str | None = None, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(buffer, form, **options)
    return buffer.getvalue()


def claiming(width: int, height: int) -> bytes:
    """A PNG whose header lies about its size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(b"0" * 100)), (b"IEND", b"")):
        crc = zlib.crc32(kind + content)
        data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)
    return data


@pytest.fixture
def rgba() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)


def test_pixels_and_alpha_are_those_of_the_file(folder, rgba: np.ndarray) -> None:
    store = folder({"a.png": encoded(rgba), "b.png": encoded(rgba[..., :3])})
    with_alpha, without = read_rgba(store, "a.png"), read_rgba(store, "b.png", (5, 7))
    assert with_alpha.has_alpha
    assert (with_alpha.rgba == rgba.transpose(2, 0, 1)).all()
    assert not without.has_alpha
    assert (without.rgba[:3] == rgba[..., :3].transpose(2, 0, 1)).all()
    assert (without.rgba[3] == 255).all()


def test_grey_palette_and_jpeg_images_are_read(folder, rgba: np.ndarray) -> None:
    grey = rgba[..., 0]
    wide = grey.astype(np.uint16) * 257
    store = folder(
        {
            "grey.png": encoded(grey),
            "wide.png": encoded(wide),
            "palette.png": encoded(np.where(grey > 99, 255, 0).astype(np.uint8), "P"),
            "flat.jpg": encoded(np.full((8, 8, 3), 90, np.uint8), form="JPEG"),
            "none.webp": encoded(rgba, form="WEBP", lossless=True, exact=True),
        }
    )
    for name in ("grey.png", "wide.png"):
        assert (read_rgba(store, name).rgba[:3] == grey).all()
    assert (read_rgba(store, "palette.png").rgba[0] == np.where(grey > 99, 255, 0)).all()
    assert np.abs(read_rgba(store, "flat.jpg").rgba[:3].astype(int) - 90).max() <= 1
    assert (read_rgba(store, "none.webp").rgba == rgba.transpose(2, 0, 1)).all()


def test_masks_come_from_alpha_else_from_brightness(folder, rgba: np.ndarray) -> None:
    inside = rgba[..., 3] > 99
    store = folder(
        {
            "alpha.png": encoded(rgba),
            "grey.png": encoded(rgba[..., 3]),
            "rgb.png": encoded(np.repeat(inside[..., None] * np.uint8(255), 3, 2)),
            "bits.png": encoded(inside),
            "ones.png": encoded(inside.astype(np.uint8)),
        }
    )
    for name in ("alpha.png", "grey.png"):
        assert (read_mask(store, name) == rgba[..., 3]).all()
    for name in ("rgb.png", "bits.png", "ones.png"):
        assert (read_mask(store, name) == inside * np.uint8(255)).all()


NOISE = np.random.default_rng(1).integers(0, 256, (5, 7, 4), np.uint8)


@pytest.mark.parametrize(
    ("content", "size", "message"),
    [
        (b"GIF89a, or so it says", None, "no PNG, JPEG or WebP"),
        (claiming(30000, 30000), None, "unreadable"),
        (claiming(9000, 9000), None, "cannot hold 9000 x 9000"),
        (claiming(8, 8), (5, 7), "must be 7 pixels wide and 5 high, got 8 and 8"),
        (claiming(7, 5), (5, 7), "unreadable"),
        (encoded(NOISE)[:90], (5, 7), "unreadable"),
    ],
)
def test_a_broken_image_is_named(folder, content: bytes, size, message: str) -> None:
    store = folder({"sub/a.png": content})
    for read in (read_rgba, read_mask):
        with pytest.raises(ValueError, match=rf"sub/a\.png.*{message}"):
            read(store, "sub/a.png", size)


def test_a_missing_image_or_a_link_out_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(encoded(np.zeros((2, 2), np.uint8)))
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(FileNotFoundError, match=r"root.*link\.png"):
        read_rgba(FolderStore(tmp_path / "root"), "link.png")


def test_resizing_averages_areas_with_alpha_as_weight() -> None:
    rgba = np.zeros((4, 2, 3), np.uint8)
    rgba[:, 0, 0] = (200, 100, 0, 255)
    rgba[:, 1, 1] = (0, 50, 250, 255)
    rgba[:3, 1, 2] = 77  # transparent: its colour must not count
    resized = resize_rgba(rgba, (1, 1))[:, 0, 0]
    assert resized.tolist() == [100, 75, 125, 85]  # 2 of 6 pixels
    # 3 columns become 2: the middle one is shared.
    halves = resize_rgba(rgba, (1, 2))[:, 0]
    assert halves[3].tolist() == [round(255 * 1.5 / 3), round(255 * 0.5 / 3)]
    assert halves[:3, 1].tolist() == [0, 50, 250]
    assert (resize_rgba(rgba, (4, 6))[:, ::2, ::2] == rgba * (rgba[3:] > 0)).all()


@pytest.mark.parametrize("aspect", ["pad", "crop"])
@pytest.mark.parametrize("size", [(40, 40), (30, 90), (64, 16), (137, 100)])
def test_intrinsics_follow_the_pixels(aspect: str, size: tuple[int, int]) -> None:
    """A blob is in the new image where the new intrinsics project it."""
    centre = np.array([62.5, 43.5, 1.0])
    x, y = np.meshgrid(np.arange(120), np.arange(90))
    rgba = np.zeros((4, 90, 120), np.uint8)
    rgba[3] = np.rint(255 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 18))
    fitted, pixels = fit_image(rgba, size, aspect)
    assert fitted.shape == (4, *size)
    alpha = fitted[3].astype(float)
    found = [
        (alpha * np.arange(size[1])).sum() / alpha.sum(),
        (alpha * np.arange(size[0])[:, None]).sum() / alpha.sum(),
    ]
    assert found == pytest.approx(list((pixels.intrinsics(np.eye(3)) @ centre)[:2]), abs=0.02)
    assert alpha.sum() == pytest.approx(pixels.scale[0] ** 2 * rgba[3].sum(), rel=0.02)
    ratios = size[0] / 90, size[1] / 120
    wanted = min(ratios) if aspect == "pad" else max(ratios)
    assert pixels.scale == pytest.approx((wanted, wanted))


@pytest.mark.parametrize("aspect", ["pad", "crop"])
@pytest.mark.parametrize("size", [(40, 40), (30, 90), (64, 16)])
def test_cameras_follow_the_pixels(aspect: str, size: tuple[int, int]) -> None:
    """Projections through the new cameras are where the pixel map takes those of the old ones."""
    old, points = (90, 120), torch.rand(2, 9, 3, dtype=torch.float64)
    inner = torch.tensor([[2.0, 2.5], [3.0, 3.0]]), torch.tensor([[0.1, -0.2], [0.0, 0.3]])
    orbit = Cameras.orbit(*torch.tensor([[10.0, 70.0], [30.0, -20.0], [3.0, 4.0], [40.0, 40.0]]))
    cameras = Cameras(orbit.rotation, orbit.translation, *inner).to(dtype=torch.float64)
    _, pixels = fit_image(np.zeros((4, *old), np.uint8), size, aspect)

    def project(cameras: Cameras, size: tuple[int, int]) -> torch.Tensor:
        height, width = size
        x, y, _ = cameras.project(points, size).unbind(2)
        half = min(size) / 2
        return torch.stack([x * half + (width - 1) / 2, (height - 1) / 2 - y * half], 2)

    moved = project(cameras, old) * torch.tensor(pixels.scale) + torch.tensor(pixels.offset)
    assert torch.allclose(project(pixels.cameras(cameras, old, size), size), moved, atol=1e-4)


def test_padding_is_transparent_and_null_keeps_the_image() -> None:
    rgba = np.full((4, 10, 20), 255, np.uint8)
    padded, _ = fit_image(rgba, (20, 20))
    assert (padded[3, 5:15] == 255).all()
    assert not padded[:, :5].any()
    assert not padded[:, 15:].any()
    cropped, _ = fit_image(rgba, (20, 20), "crop")
    assert (cropped == 255).all()
    same, pixels = fit_image(rgba, None)
    assert same is rgba
    assert (pixels.intrinsics(np.eye(3)) == np.eye(3)).all()
    with pytest.raises(ValueError, match="aspect must be one of"):
        fit_image(rgba, (5, 5), "stretch")


def test_a_image_is_turned_upright_only_when_asked(folder, rgba: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that a viewer must turn clockwise
    store = folder({"a.png": encoded(rgba, exif=exif)})
    turned = read_rgba(store, "a.png", upright=True).rgba.transpose(1, 2, 0)
    assert (turned == np.rot90(rgba, -1)).all()
    assert read_rgba(store, "a.png").rgba.shape == (4, 5, 7)


def test_maps_of_pixels_follow_each_other_and_lead_back() -> None:
    first, second = PixelMap((2.0, 3.0), (1.0, -1.0)), PixelMap((0.5, 4.0), (0.25, 2.0))
    both = first.then(second)
    assert both.scale == (1.0, 12.0)
    assert both.offset == (0.5 * 1.0 + 0.25, 4.0 * -1.0 + 2.0)
    around = both.then(both.inverse())
    assert around.scale == pytest.approx((1, 1))
    assert around.offset == pytest.approx((0, 0))
