"""Images as arrays: reading them safely, and bringing them to another size with their cameras."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from recon.formats.stores import Store
from recon.geometry.cameras import Cameras

# What is read; PIL knows formats which run other programs.
FORMATS = ("PNG", "JPEG", "WEBP")
# 400 MB as float32 while it is made smaller; cameras of today stay below.
MAX_PIXELS = 100_000_000
# Deflate makes at most 1032 bytes out of one and Huffman-coded JPEG no more, so an image which
# claims more than this per byte of its file lies.
MAX_EXPANSION = 1100
ASPECTS = ("pad", "crop")


@dataclass(frozen=True)
class RgbaImage:
    """An image of a file.

    Attributes:
        rgba: [4, H, W] uint8 sRGB and alpha, not premultiplied, row 0 on top.
        has_alpha: whether the file has an alpha channel; without one alpha is 255 everywhere.
    """

    rgba: NDArray[np.uint8]
    has_alpha: bool


@dataclass(frozen=True)
class PixelMap:
    """Where the pixels of an image lie in another: new = scale * old + offset.

    Attributes:
        scale: along x and y.
        offset: along x and y, in new pixels; pixel centres are at integers in both images.
    """

    scale: tuple[float, float]
    offset: tuple[float, float]

    def then(self, other: PixelMap) -> PixelMap:
        """Return where pixels lie after this map and another one."""
        (a, b), (c, d) = self.scale, other.scale
        (x, y), (u, v) = self.offset, other.offset
        return PixelMap((a * c, b * d), (x * c + u, y * d + v))

    def inverse(self) -> PixelMap:
        """Return the map back."""
        (a, b), (x, y) = self.scale, self.offset
        return PixelMap((1 / a, 1 / b), (-x / a, -y / b))

    def intrinsics(self, K: NDArray[np.floating]) -> NDArray[np.float64]:  # noqa: N803
        """Return the matrices for the new image.

        Args:
            K: [..., 3, 3] matrices from view coordinates to old pixels, last row (0, 0, 1).
        """
        (scale_x, scale_y), (offset_x, offset_y) = self.scale, self.offset
        matrix = [[scale_x, 0, offset_x], [0, scale_y, offset_y], [0, 0, 1]]
        return np.asarray(np.array(matrix) @ K, np.float64)

    def cameras(
        self, cameras: Cameras, old_size: tuple[int, int], new_size: tuple[int, int]
    ) -> Cameras:
        """Return the cameras of the new images.

        Args:
            cameras: of the old images.
            old_size: (height, width) of these.
            new_size: (height, width) of the new ones.
        """
        (old_height, old_width), (height, width) = old_size, new_size
        like = cameras.center
        scale, offset = like.new_tensor(self.scale), like.new_tensor(self.offset)
        down = like.new_tensor([1.0, -1.0])  # rows are counted downwards, y upwards
        middle = like.new_tensor([old_width - 1, old_height - 1]) / 2
        new_middle = like.new_tensor([width - 1, height - 1]) / 2
        pixels = scale * (cameras.center * down * old_height / 2 + middle) + offset
        return Cameras(
            rotation=cameras.rotation,
            translation=cameras.translation,
            focal=cameras.focal * scale * old_height / height,
            center=(pixels - new_middle) * down * 2 / height,
        )


def read_rgba(
    store: Store, name: str, size: tuple[int, int] | None = None, upright: bool = False
) -> RgbaImage:
    """Read a PNG, JPEG or WebP file.

    Args:
        store: where the file is.
        name: of the file.
        size: the (height, width) it must have; None for any.
        upright: whether to turn the image as its EXIF data ask; else pixels are as stored, which
            is what camera matrices of data sets belong to.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, if it is damaged, too large or of another size.
    """
    with _opened(store, name, size) as image:
        has_alpha = _has_alpha(image)
        turned = ImageOps.exif_transpose(image) if upright else image
        converted = _eight_bits(turned).convert("RGBA")
        return RgbaImage(np.ascontiguousarray(np.asarray(converted).transpose(2, 0, 1)), has_alpha)


def read_mask(store: Store, name: str, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Read a mask: the alpha channel where there is one, else the brightness.

    Args:
        store, name, size: as for `read_rgba`.

    Returns:
        [H, W] uint8, 255 inside; a file of only zeros and ones counts as one of 0 and 255.

    Raises:
        FileNotFoundError, ValueError: as `read_rgba`.
    """
    with _opened(store, name, size) as image:
        if _has_alpha(image):
            mask = np.asarray(image.convert("RGBA"))[..., 3]
        else:
            mask = np.asarray(_eight_bits(image).convert("L"))
    return mask * np.uint8(255) if mask.max() <= 1 else mask.copy()


@contextmanager
def _opened(store: Store, name: str, size: tuple[int, int] | None) -> Iterator[Image.Image]:
    """Open and decode an image, turning everything that PIL raises into ValueErrors."""
    data = store.read(name)
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            warnings.simplefilter("ignore")  # of odd but harmless metadata
            _require_size(image, len(data), size)
            image.load()
            yield image
    except Image.UnidentifiedImageError as error:
        raise ValueError(f"{store.label}: {name} is no PNG, JPEG or WebP image") from error
    # PIL raises SyntaxError, EOFError, struct.error and others for damaged files.
    except Exception as error:
        raise ValueError(f"{store.label}: image {name} is unreadable: {error}") from error


def _require_size(image: Image.Image, file_bytes: int, size: tuple[int, int] | None) -> None:
    """Check what the header claims before anything of that size is allocated."""
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


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return grey images of 16 bits with 8, which PIL would otherwise clip."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))


def fit_image(
    rgba: NDArray[np.uint8], image_size: tuple[int, int] | None, aspect: str = "pad"
) -> tuple[NDArray[np.uint8], PixelMap]:
    """Bring an image to a size without distorting it, its middle staying in the middle.

    Args:
        rgba: [4, H, W] uint8, not premultiplied.
        image_size: (height, width) of the result; None leaves the image as it is.
        aspect: what is done where the aspects differ: "pad" adds transparent pixels, "crop" cuts
            off what is too much.

    Returns:
        The image [4, height, width], each pixel the mean over the area it covers with alpha as
        weight, and where the old pixels lie in it.

    Raises:
        ValueError: if `aspect` is another word.
    """
    if aspect not in ASPECTS:
        raise ValueError(f"aspect must be one of {ASPECTS}, got {aspect!r}")
    old_height, old_width = rgba.shape[1:]
    height, width = image_size or (old_height, old_width)
    if (height, width) == (old_height, old_width):
        return rgba, PixelMap((1.0, 1.0), (0.0, 0.0))
    ratios = height / old_height, width / old_width
    scale = min(ratios) if aspect == "pad" else max(ratios)
    # What the new image's left and upper border are in old pixels, counted from the old border.
    left, top = (old_width - width / scale) / 2, (old_height - height / scale) / 2
    resized = _resample(
        rgba, _overlaps(old_height, height, top, scale), _overlaps(old_width, width, left, scale)
    )
    # Centres at integers are half a pixel right of and below the border of their pixel.
    offsets = tuple((0.5 - start) * scale - 0.5 for start in (left, top))
    return resized, PixelMap((scale, scale), (offsets[0], offsets[1]))


def fit_views(
    images: NDArray[np.uint8], cameras: Cameras, image_size: tuple[int, int], aspect: str = "pad"
) -> tuple[NDArray[np.uint8], Cameras]:
    """Bring images of one size to another, with their cameras.

    Args:
        images: [K, 4, H, W].
        cameras: K.
        image_size, aspect: as for `fit_picture`.

    Returns:
        The images [K, 4, height, width] and their cameras.
    """
    fitted = [fit_image(image, image_size, aspect) for image in images]
    old_size = (images.shape[2], images.shape[3])
    moved = fitted[0][1].cameras(cameras, old_size, image_size)
    return np.stack([image for image, _ in fitted]), moved


def resize_rgba(rgba: NDArray[np.uint8], image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """Stretch an image to a size, each new pixel the mean over the area it covers.

    Args:
        rgba: [4, H, W] uint8, not premultiplied; alpha is the weight of colours.
        image_size: (height, width) of the result.
    """
    (old_height, old_width), (height, width) = rgba.shape[1:], image_size
    return _resample(
        rgba,
        _overlaps(old_height, height, 0, height / old_height),
        _overlaps(old_width, width, 0, width / old_width),
    )


def _overlaps(old: int, new: int, start: float, scale: float) -> NDArray[np.float32]:
    """Return [new, old]: the share of each new pixel that each old one covers.

    New pixel i is old coordinates start + i / scale to start + (i + 1) / scale.
    """
    edges = start + np.arange(new + 1)[:, None] / scale
    low, high = np.maximum(edges[:-1], np.arange(old)), np.minimum(edges[1:], np.arange(old) + 1)
    return (np.maximum(high - low, 0) * scale).astype(np.float32)


def _resample(
    rgba: NDArray[np.uint8], rows: NDArray[np.float32], columns: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Return the image rows @ image @ columns^T, alpha weighing the colours."""
    weight = rgba[3].astype(np.float32) / 255
    alpha = rows @ weight @ columns.T
    # Where alpha is 0 so is the colour; the floor, half of the least alpha that shows, avoids 0/0.
    divisor = np.maximum(alpha, 0.5 / 255)
    colors = [rows @ (channel * weight) @ columns.T / divisor for channel in rgba[:3]]
    resized = np.stack([*colors, alpha * 255])
    resized[:3, alpha < 0.5 / 255] = 0
    return np.rint(resized.clip(0, 255)).astype(np.uint8)
