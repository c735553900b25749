"""The one decoder of images and masks: a file, bytes, a PIL image or an array become 8 bits.

Everything that reads an image decides the following here:

- Orientation: images are turned upright as their EXIF data ask. With `upright=False` the pixels
  stay as they are stored, which is what calibrated cameras belong to; a note says so where the two
  differ.
- Depth: 16 bits become 8 by scaling, and so do floating-point numbers in [0, 1].
- Palettes, grey, CMYK and transparent colours become RGB and alpha.
- Masks: the alpha channel where it has a clear share of transparent pixels, else the brightest
  channel; a mask of two values, one of them 0, is one of 0 and 255.
- Animated files: the first frame, with a note.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.formats.stores import Store

log = logging.getLogger(__name__)

# A path, the bytes of a file, a PIL image, or an array [H, W] or [H, W, 1 to 4].
ImageLike: TypeAlias = str | Path | bytes | Image.Image | NDArray[Any]

# The formats that are read; PIL also has formats which run other programs.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
# Such an image takes 400 MB as float32 while it is shrunk; today's cameras stay below.
MAX_PIXELS = 100_000_000
# Deflate makes at most 1032 bytes out of one and Huffman-coded JPEG no more, so an image which
# claims more than this per byte of its file lies.
MAX_EXPANSION = 1100
# An image has a mask when at least this share of its pixels is more transparent than opaque. Image
# editors leave single pixels of alpha 254; an object with a mask leaves some of the image free.
LEAST_TRANSPARENT = 0.005
OPAQUE = 128  # alpha from which on a pixel is inside a mask

_ORIENTATION = 0x0112  # EXIF's tag
_TRANSPOSED = (5, 6, 7, 8)
_OPPOSITE = {6: 8, 8: 6}  # the other orientations are their own opposites


@dataclass(frozen=True)
class RgbaImage:
    """A decoded image.

    Attributes:
        rgba: [4, H, W] uint8 sRGB and alpha, not premultiplied, row 0 on top.
        orientation: The EXIF orientation of the stored pixels, 1 to 8; 1 is upright.
        upright: Whether `rgba` was turned upright by it.
        notes: Remarks on the file, for the user.
    """

    rgba: NDArray[np.uint8]
    orientation: int = 1
    upright: bool = True
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rgba.shape[1], self.rgba.shape[2]

    @property
    def has_mask(self) -> bool:
        """Whether alpha is a mask: a clear share of the pixels is clearly transparent."""
        return _is_mask(self.rgba[3])


def _is_mask(alpha: NDArray[np.uint8]) -> bool:
    return float((alpha < OPAQUE).mean()) >= LEAST_TRANSPARENT


def decode_image(
    source: ImageLike,
    label: str | None = None,
    upright: bool = True,
    size: tuple[int, int] | None = None,
    formats: tuple[str, ...] = FORMATS,
    draft: int | None = None,
) -> RgbaImage:
    """Decodes an image.

    Args:
        source: A path, the bytes of a file, a PIL image, or an array [H, W] or [H, W, C] with C
            from 1 (grey) and 2 (grey, alpha) to 3 (RGB) and 4 (RGB, alpha): bool, 8 or 16 bits, or
            floating point in [0, 1].
        label: The name of the image in messages; None takes the path, else "the image".
        upright: Whether to turn the image as its EXIF data ask.
        size: The (height, width) it must have as stored; None allows any.
        formats: The names in PIL of the file formats that are read.
        draft: The number of pixels below which no side may fall when JPEG files are decoded at a
            fraction of their size; None decodes them whole.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the image is damaged, too large, of another size or no image; the message
            names it.
    """
    label = label or _label(source, "the image")
    with _pixels_of(source, label, size, formats, draft) as raw:
        rgba = _as_rgba(_eight_bits(raw.pixels))
        notes = raw.notes
        if raw.orientation != 1 and not upright:
            notes += (
                f"its EXIF orientation is {raw.orientation}, but its pixels are taken as they are"
                " stored, which is what its camera belongs to",
            )
        if upright:
            rgba = _turned(rgba, raw.orientation)
    return RgbaImage(rgba, raw.orientation, upright, notes)


def decode_mask(
    source: ImageLike,
    label: str | None = None,
    like: RgbaImage | None = None,
    upright: bool = True,
) -> NDArray[np.uint8]:
    """Decodes a mask.

    Args:
        source: The mask, in any form that `decode_image` takes.
        label: The name of the mask in messages; None takes the path, else "the mask".
        like: The image it belongs to, whose size it must have. A mask which has only the size of
            that image before (or after) it was turned upright is turned alike.
        upright: Whether to turn the mask as its EXIF data ask.

    Returns:
        [H, W] uint8, 255 inside.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the mask is no image or of another size; the message names it.
    """
    label = label or _label(source, "the mask")
    with _pixels_of(source, label, None, FORMATS, None) as raw:
        mask = _mask_values(raw.pixels)
        mask = _turned(mask[None], raw.orientation)[0] if upright else mask
    return mask if like is None else _turned_like(mask, like, label)


def _turned_like(mask: NDArray[np.uint8], like: RgbaImage, label: str) -> NDArray[np.uint8]:
    if mask.shape == like.size:
        return mask
    if like.orientation in _TRANSPOSED and mask.shape == like.size[::-1]:
        back = _OPPOSITE.get(like.orientation, like.orientation)
        return _turned(mask[None], like.orientation if like.upright else back)[0]
    height, width = like.size
    raise ValueError(
        f"{label} must have the size of its image, {width} x {height} pixels,"
        f" got {mask.shape[1]} x {mask.shape[0]}"
    )


def read_rgba(
    store: Store, name: str, size: tuple[int, int] | None = None, upright: bool = False
) -> RgbaImage:
    """Reads an image of a data set, and logs its notes as warnings.

    Args:
        store: The store that has the file.
        name: The name of the file.
        size: The (height, width) it must have; None allows any.
        upright: Whether to turn the image as its EXIF data ask; by default pixels are as stored,
            which is what camera matrices of data sets belong to.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, too large or of another size; the message names it.
    """
    label = f"{store.label}: {name}"
    image = decode_image(store.read(name), label, upright, size)
    for note in image.notes:
        log.warning("%s: %s", label, note)
    return image


def read_mask(store: Store, name: str, like: RgbaImage) -> NDArray[np.uint8]:
    """Reads the mask of an image.

    Args:
        store: The store that has the file.
        name: The name of the file.
        like: The image.

    Returns:
        [H, W] uint8, 255 inside.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or has another size than the image; the message names it.
    """
    return decode_mask(store.read(name), f"{store.label}: {name}", like, like.upright)


@dataclass(frozen=True)
class _Pixels:
    """Stored pixels [H, W] or [H, W, 1 to 4] of any depth, and what the file says about them."""

    pixels: NDArray[Any]
    orientation: int = 1
    notes: tuple[str, ...] = ()


def _label(source: Any, otherwise: str) -> str:
    return str(source) if isinstance(source, str | Path) else otherwise


@contextmanager
def _pixels_of(
    source: Any,
    label: str,
    size: tuple[int, int] | None,
    formats: tuple[str, ...],
    draft: int | None,
) -> Iterator[_Pixels]:
    """Opens any source; whatever is raised in the block names it in a ValueError."""
    if isinstance(source, str | Path):
        if not Path(source).is_file():
            raise FileNotFoundError(f"no such file: {source}")
        source = Path(source).read_bytes()
    try:
        if isinstance(source, bytes):
            yield _decoded(source, size, formats, draft)
        elif isinstance(source, Image.Image):
            yield _of_pil(source)
        else:
            yield _Pixels(np.asarray(source))
    except Image.UnidentifiedImageError as error:
        raise ValueError(f"{label} {_unidentified(source, formats)}") from error
    # PIL raises SyntaxError, EOFError, struct.error and others for damaged files.
    except Exception as error:
        raise ValueError(f"{label} is unreadable: {error or type(error).__name__}") from error


def _unidentified(data: bytes, formats: tuple[str, ...]) -> str:
    names = f"{', '.join(formats[:-1])} or {formats[-1]}"
    if data[4:8] == b"ftyp":
        return f"is a HEIC, AVIF or video file, not {names}; save it as JPEG or PNG"
    return f"is not a {names} image"


def _decoded(
    data: bytes, size: tuple[int, int] | None, formats: tuple[str, ...], draft: int | None
) -> _Pixels:
    with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=formats) as image:
        warnings.simplefilter("ignore")  # PIL warns of odd but harmless metadata
        _require_size(image, len(data), size)
        # Phones add small copies to a JPEG (MPO), which is no animation.
        frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
        if draft is not None:
            image.draft(None, (draft, draft))
        image.load()
        pixels = _of_pil(image)
    first = (f"it is animated: the first of its {frames} frames is taken",) if frames > 1 else ()
    return _Pixels(pixels.pixels, pixels.orientation, first)


def _require_size(image: Image.Image, file_bytes: int, size: tuple[int, int] | None) -> None:
    """Checks what the header claims before anything of that size is allocated."""
    width, height = image.size
    if size is not None and (height, width) != tuple(size):
        raise ValueError(
            f"it must be {size[1]} pixels wide and {size[0]} high, got {width} and {height}"
        )
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels are more than {MAX_PIXELS}")
    # A lossless WebP of one colour takes a few bytes at any size.
    if image.format != "WEBP" and width * height > MAX_EXPANSION * file_bytes * 8:
        raise ValueError(f"its {file_bytes} bytes cannot hold {width} x {height} pixels")


def _of_pil(image: Image.Image) -> _Pixels:
    return _Pixels(_channels(image), _orientation(image))


def _orientation(image: Image.Image) -> int:
    """Returns EXIF's orientation, 1 where there is none or its data are damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged data are reported elsewhere
            found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged metadata raise whatever struct, TIFF and XML readers do
        return 1
    return int(found) if found in range(1, 9) else 1


def _channels(image: Image.Image) -> NDArray[Any]:
    """Returns [H, W, C] samples as they are stored, palettes and colour models resolved."""
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image)
        key = image.info.get("transparency")
        if not isinstance(key, int):
            return grey
        return np.stack((grey, np.where(grey == key, 0, 65535).astype(grey.dtype)), axis=-1)
    has_alpha = image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info
    if image.mode in ("1", "L") and not has_alpha:
        return np.asarray(image.convert("L"))
    if image.mode == "La":
        image = image.convert("LA")
    return np.asarray(image.convert("RGBA" if has_alpha else "RGB"))


def _require_pixels(pixels: NDArray[Any]) -> NDArray[Any]:
    """Returns samples as [H, W, C]."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or pixels.dtype.kind not in "buif":
        raise ValueError(
            "an image is a file, a PIL image or an array [H, W] or [H, W, 1 to 4] of uint8, uint16,"
            f" bool or floating point, got {pixels.dtype} {list(pixels.shape)}"
        )
    if not pixels.size:
        raise ValueError(f"it must have at least one pixel, got {list(pixels.shape)}")
    return pixels


def _eight_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Returns samples [H, W, C] of any depth with 8 bits."""
    pixels = _require_pixels(pixels)
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.bool_:
        return pixels * np.uint8(255)
    low, high = pixels.min(), pixels.max()
    if pixels.dtype.kind == "f":
        if not (low >= 0 and high <= 1):  # also refuses NaN
            raise ValueError(f"floating-point samples must lie in [0, 1], got {low:g} to {high:g}")
        return np.rint(pixels * np.float64(255)).astype(np.uint8)
    if low < 0 or high > 65535:
        raise ValueError(f"samples must have 8 or 16 bits, got numbers from {low} to {high}")
    if pixels.dtype != np.uint16 and high <= 255:  # 8 bits in wider integers
        return pixels.astype(np.uint8)
    return ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def _as_rgba(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns [4, H, W] of samples [H, W, C]; alpha is 255 where there is none."""
    channels = np.moveaxis(pixels, 2, 0)
    count = len(channels)
    colors = channels[:3] if count >= 3 else np.repeat(channels[:1], 3, axis=0)
    alpha = channels[-1:] if count in (2, 4) else np.full_like(channels[:1], 255)
    return np.concatenate((colors, alpha))


def _mask_values(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Returns [H, W], 255 inside."""
    pixels = _require_pixels(pixels)
    if pixels.shape[2] in (2, 4):
        alpha = _eight_bits(pixels[..., -1:])[..., 0]
        if _is_mask(alpha):
            return alpha
    # The brightest channel tells a label's colour, such as a dark red, from black better than
    # brightness.
    values = pixels[..., : 1 if pixels.shape[2] <= 2 else 3].max(2)
    high = values.max()
    inside = values == high
    if high == 0 or ((high <= 1 or not inside.all()) and (inside | (values == 0)).all()):
        return np.where(values > 0, 255, 0).astype(np.uint8)
    if values.dtype == np.uint16 and high <= 255:  # 8 bits in a file of 16
        return values.astype(np.uint8)
    return _eight_bits(values)[..., 0]


def _turned(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Returns an image [C, H, W] turned upright from one of EXIF's orientations."""
    if orientation in _TRANSPOSED:
        image = image.transpose(0, 2, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, :, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
