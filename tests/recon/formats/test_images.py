"""One decoder: every form and every door gives the same pixels, and bad input one line."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from recon.formats.images import decode_image, decode_mask, read_mask, read_rgba
from recon.formats.stores import FolderStore

ORIENTATION = 0x0112


def encoded(array: np.ndarray, mode: str | None = None, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(buffer, form, **options)
    return buffer.getvalue()


def encoded_labels(inside: np.ndarray) -> bytes:
    """A map of labels as PASCAL VOC has them: label 1 is a dark red."""
    image = Image.fromarray(inside.astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 128, 0, 0])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[ORIENTATION] = orientation
    return found


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


def test_every_door_gives_the_same_pixels(tmp_path: Path, rgba: np.ndarray) -> None:
    data = encoded(rgba)
    (tmp_path / "a.png").write_bytes(data)
    image = Image.open(tmp_path / "a.png")
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), data, image, rgba):
        decoded = decode_image(source)
        assert (decoded.rgba == rgba.transpose(2, 0, 1)).all()
        assert decoded.size == (5, 7)
        assert decoded.notes == ()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr"])
def test_pil_images_of_every_mode(rgba: np.ndarray, mode: str) -> None:
    flat = np.full((4, 6, 3), 255, np.uint8)
    flat[1:, 2:] = 0
    image = Image.fromarray(flat).convert("RGBA" if mode == "RGBa" else "RGB").convert(mode)
    assert np.abs(decode_image(image).rgba[:3].astype(int) - flat.transpose(2, 0, 1)).max() <= 1
    assert (decode_image(image).rgba[3] == 255).all()


def test_files_of_every_kind(folder, rgba: np.ndarray) -> None:
    grey = rgba[..., 0]
    black = np.where(grey > 99, 255, 0).astype(np.uint8)
    store = folder(
        {
            "grey.png": encoded(grey),
            "wide.png": encoded(grey.astype(np.uint16) * 257),
            "wide.tif": encoded(grey.astype(np.uint16) * 257, form="TIFF"),
            "palette.png": encoded(black, "P"),
            "palette.gif": encoded(black, form="GIF"),
            "flat.jpg": encoded(np.full((8, 8, 3), 90, np.uint8), form="JPEG"),
            "none.webp": encoded(rgba, form="WEBP", lossless=True, exact=True),
            "rgb.bmp": encoded(rgba[..., :3], form="BMP"),
        }
    )
    for name in ("grey.png", "wide.png", "wide.tif"):
        assert (read_rgba(store, name).rgba[:3] == grey).all()
    for name in ("palette.png", "palette.gif"):
        assert (read_rgba(store, name).rgba[0] == black).all()
    assert np.abs(read_rgba(store, "flat.jpg").rgba[:3].astype(int) - 90).max() <= 1
    assert (read_rgba(store, "none.webp").rgba == rgba.transpose(2, 0, 1)).all()
    assert (read_rgba(store, "rgb.bmp").rgba[:3] == rgba[..., :3].transpose(2, 0, 1)).all()


def test_sixteen_bits_become_eight_by_scaling_through_every_door(tmp_path: Path) -> None:
    wide = np.array([[0, 128, 129, 1000, 30000, 65535]], np.uint16)
    wanted = np.rint(wide / 65535 * 255).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(encoded(wide))
    image = Image.open(tmp_path / "a.png")
    doors = (tmp_path / "a.png", image, image.convert("I"), wide, wide / 65535)
    for source in (*doors, wide.astype(np.int64)):
        assert (decode_image(source).rgba[0] == wanted).all()
    rgb = np.repeat(wide[..., None], 3, 2)
    assert (decode_image(rgb).rgba[:3] == wanted).all()
    assert (decode_image(np.arange(6)[None]).rgba[0] == np.arange(6)).all()  # 8 bits in 64


def test_transparent_colours_become_alpha(folder) -> None:
    palette = Image.fromarray(np.array([[0, 1, 1]], np.uint8), "P")
    palette.putpalette([9, 9, 9, 200, 0, 0])
    buffer = io.BytesIO()
    palette.save(buffer, "PNG", transparency=0)
    key = encoded(np.array([[3, 5, 5]], np.uint8), transparency=3)
    wide = encoded(np.array([[300, 500, 500]], np.uint16), transparency=300)
    for data in (buffer.getvalue(), key, wide):
        image = decode_image(data)
        assert image.rgba[3].tolist() == [[0, 255, 255]]
        assert image.has_mask


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright_unless_stored_pixels_are_meant(
    rgba: np.ndarray, orientation: int
) -> None:
    data = encoded(rgba, exif=exif(orientation))
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    for source in (data, Image.open(io.BytesIO(data))):
        decoded = decode_image(source)
        assert (decoded.rgba.transpose(1, 2, 0) == wanted).all()
        assert (decoded.orientation, decoded.notes) == (orientation, ())
        assert (decode_mask(source) == wanted[..., 3]).all()
    stored = decode_image(data, upright=False)
    assert (stored.rgba.transpose(1, 2, 0) == rgba).all()
    assert bool(stored.notes) == (orientation != 1)
    # A mask is made of the image as it is seen, or of its stored pixels.
    upright = decode_image(data)
    assert (decode_mask(wanted[..., 0].copy(), like=upright) == wanted[..., 0]).all()
    if orientation >= 5:
        assert (decode_mask(rgba[..., 0], like=upright) == wanted[..., 0]).all()
        seen = np.ascontiguousarray(wanted[..., 0])
        assert (decode_mask(seen, like=stored, upright=False) == rgba[..., 0]).all()


def test_damaged_orientation_data_are_passed_over(rgba: np.ndarray) -> None:
    for damaged in (b"Exif\x00\x00", b"Exif\x00\x00II*\x00\xff\xff\xff\xff", exif(77)):
        decoded = decode_image(encoded(rgba[..., :3], form="JPEG", exif=damaged))
        assert decoded.orientation == 1


def test_a_data_set_warns_of_stored_pixels(folder, rgba: np.ndarray, caplog) -> None:
    store = folder({"a.png": encoded(rgba, exif=exif(6))})
    with caplog.at_level(logging.WARNING):
        assert read_rgba(store, "a.png").size == (5, 7)
    assert "a.png: its EXIF orientation is 6, but its pixels are taken as they are" in caplog.text


def test_one_faint_pixel_is_no_mask() -> None:
    rgba = np.full((20, 30, 4), 255, np.uint8)
    assert not decode_image(rgba).has_mask
    rgba[3, 4, 3] = 254
    assert not decode_image(rgba).has_mask
    rgba[3, 4, 3] = 0
    assert not decode_image(rgba).has_mask  # one pixel of 600
    rgba[..., 3] = 200  # even where all are
    assert not decode_image(rgba).has_mask
    rgba[:3, :, 3] = 0
    assert decode_image(rgba).has_mask


def test_masks_come_from_alpha_else_from_brightness(folder, rgba: np.ndarray) -> None:
    inside = rgba[..., 3] > 99
    opaque = np.concatenate((rgba[..., 3:].repeat(3, 2), np.full_like(rgba[..., :1], 255)), 2)
    store = folder(
        {
            "image.png": encoded(rgba),
            "alpha.png": encoded(rgba),
            "grey.png": encoded(rgba[..., 3]),
            "opaque.png": encoded(opaque),
            "rgb.png": encoded(np.repeat(inside[..., None] * np.uint8(255), 3, 2)),
            "bits.png": encoded(inside),
            "ones.png": encoded(inside.astype(np.uint8)),
            "halves.png": encoded(inside * np.uint8(128)),
            "wide.png": encoded(inside.astype(np.uint16)),
            "wide255.png": encoded(inside * np.uint16(255)),
            "red.png": encoded_labels(inside),
        }
    )
    image = read_rgba(store, "image.png")
    for name in ("alpha.png", "grey.png", "opaque.png"):
        assert (read_mask(store, name, image) == rgba[..., 3]).all(), name
    for name in sorted(set(store.names) - {"image.png", "alpha.png", "grey.png", "opaque.png"}):
        assert (read_mask(store, name, image) == inside * np.uint8(255)).all(), name


def test_masks_as_arrays_of_every_type(rgba: np.ndarray) -> None:
    inside = rgba[..., 3] > 99
    wanted = inside * np.uint8(255)
    for mask in (inside, inside.astype(np.uint8), inside.astype(float), inside.astype(np.int64)):
        assert (decode_mask(mask) == wanted).all()
        assert (decode_mask(mask[..., None]) == wanted).all()
    assert (decode_mask(rgba[..., 3]) == rgba[..., 3]).all()
    assert (decode_mask(rgba[..., 3].astype(np.uint16) * 257) == rgba[..., 3]).all()
    assert (decode_mask(rgba[..., 3].astype(np.uint16)) == rgba[..., 3]).all()
    assert not decode_mask(np.zeros((2, 3), np.uint8)).any()
    assert (decode_mask(np.ones((2, 3), np.uint8)) == 255).all()
    assert (decode_mask(Image.fromarray(inside)) == wanted).all()


def test_an_animation_gives_its_first_frame_with_a_note() -> None:
    frames = [Image.new("RGB", (6, 4), color) for color in ((255, 0, 0), (0, 0, 255))]
    for form in ("GIF", "WEBP", "PNG"):
        buffer = io.BytesIO()
        options = {"lossless": True} if form == "WEBP" else {}
        frames[0].save(buffer, form, save_all=True, append_images=frames[1:], **options)
        decoded = decode_image(buffer.getvalue())
        assert decoded.rgba[:, 0, 0].tolist() == [255, 0, 0, 255], form
        assert decoded.notes == ("it is animated: the first of its 2 frames is taken",), form


def test_the_small_copy_in_a_jpeg_of_a_phone_is_no_animation() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (9, 9, 9)).save(
        buffer, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))]
    )
    assert decode_image(buffer.getvalue()).notes == ()


def test_a_draft_is_smaller_but_not_too_small() -> None:
    data = encoded(np.full((400, 300, 3), 90, np.uint8), form="JPEG")
    height, width = decode_image(data, draft=64).size
    assert 64 <= width < 300
    assert 64 <= height < 400
    assert decode_image(encoded(np.zeros((9, 9), np.uint8)), draft=2).size == (9, 9)  # PNG: whole


NOISE = np.random.default_rng(1).integers(0, 256, (5, 7, 4), np.uint8)


@pytest.mark.parametrize(
    ("content", "size", "message"),
    [
        (b"GIF00a, or so it says", None, "is not a PNG, JPEG, WEBP, GIF, BMP or TIFF image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", None, "HEIC, AVIF or video file.* save it as JPEG"),
        (b"", None, "is not a PNG"),
        (claiming(30000, 30000), None, "unreadable"),
        (claiming(9000, 9000), None, "cannot hold 9000 x 9000"),
        (claiming(8, 8), (5, 7), "must be 7 pixels wide and 5 high, got 8 and 8"),
        (claiming(7, 5), (5, 7), "unreadable"),
        (encoded(NOISE)[:90], (5, 7), "unreadable"),
    ],
)
def test_a_broken_image_is_named(folder, content: bytes, size, message: str) -> None:
    store = folder({"sub/a.png": content, "b.png": encoded(NOISE)})
    with pytest.raises(ValueError, match=rf"sub/a\.png.*{message}"):
        read_rgba(store, "sub/a.png", size)
    with pytest.raises(ValueError, match=r"sub/a\.png"):
        read_mask(store, "sub/a.png", read_rgba(store, "b.png"))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 0, 3), np.uint8), r"at least one pixel, got \[0, 0, 3\]"),
        (np.zeros((0, 0), np.uint8), r"at least one pixel, got \[0, 0, 1\]"),
        (np.zeros((2, 3, 5), np.uint8), r"array \[H, W\].*got uint8 \[2, 3, 5\]"),
        (np.zeros(3, np.uint8), r"got uint8 \[3\]"),
        (np.array([["a", "b"]]), "got <U1"),
        (None, r"got object \[\]"),
        (np.full((2, 2), np.nan), r"must lie in \[0, 1\], got nan to nan"),
        (np.full((2, 2), 1.5), r"must lie in \[0, 1\], got 1.5 to 1.5"),
        (np.full((2, 2), -1), "8 or 16 bits, got numbers from -1"),
        (np.full((2, 2), 70000), "8 or 16 bits, got numbers from 70000"),
    ],
)
def test_a_bad_array_is_refused_in_one_line(array, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        decode_image(array)
    assert str(caught.value).startswith("the image is unreadable: ")
    assert "\n" not in str(caught.value)


def test_sizes_of_masks_are_compared_with_their_images(rgba: np.ndarray) -> None:
    with pytest.raises(ValueError, match="the mask must have the size of its image, 7 x 5 pixels"):
        decode_mask(np.zeros((7, 5), np.uint8), like=decode_image(rgba))


def test_a_missing_image_or_a_link_out_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(encoded(np.zeros((2, 2), np.uint8)))
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(FileNotFoundError, match=r"root.*link\.png"):
        read_rgba(FolderStore(tmp_path / "root"), "link.png")
    for decode in (decode_image, decode_mask):
        with pytest.raises(FileNotFoundError, match=r"no such file: .*absent\.png"):
            decode(tmp_path / "absent.png")
