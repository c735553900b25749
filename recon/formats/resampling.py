"""Brings images to another size without distortion, with their cameras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.geometry.cameras import Cameras

ASPECTS = ("pad", "crop")
# A mean over a little more than a pixel's area: nothing of fine lines gets lost between pixels.
RESAMPLING = Image.Resampling.HAMMING


@dataclass(frozen=True)
class PixelMap:
    """Where the pixels of an image lie in another: new = scale * old + offset.

    Attributes:
        scale: The number of new pixels per old pixel, along x and y.
        offset: The place (x, y) of old pixel (0, 0) in new pixels; pixel centres are at integers
            in both images.
    """

    scale: tuple[float, float]
    offset: tuple[float, float]

    def then(self, other: PixelMap) -> PixelMap:
        """Returns where pixels lie after this map and another one."""
        (a, b), (c, d) = self.scale, other.scale
        (x, y), (u, v) = self.offset, other.offset
        return PixelMap((a * c, b * d), (x * c + u, y * d + v))

    def inverse(self) -> PixelMap:
        """Returns the map back."""
        (a, b), (x, y) = self.scale, self.offset
        return PixelMap((1 / a, 1 / b), (-x / a, -y / b))

    def intrinsics(self, K: NDArray[np.floating]) -> NDArray[np.float64]:  # noqa: N803
        """Returns the matrices for the new image.

        Args:
            K: [..., 3, 3] matrices from view coordinates to old pixels, last row (0, 0, 1).
        """
        (scale_x, scale_y), (offset_x, offset_y) = self.scale, self.offset
        matrix = [[scale_x, 0, offset_x], [0, scale_y, offset_y], [0, 0, 1]]
        return np.asarray(np.array(matrix) @ K, np.float64)

    def cameras(
        self, cameras: Cameras, old_size: tuple[int, int], new_size: tuple[int, int]
    ) -> Cameras:
        """Returns the cameras of the new images.

        Args:
            cameras: The cameras of the old images.
            old_size: (height, width) of the old images.
            new_size: (height, width) of the new images.
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


def fit_image(
    rgba: NDArray[np.uint8], image_size: tuple[int, int] | None, aspect: str = "pad"
) -> tuple[NDArray[np.uint8], PixelMap]:
    """Brings an image to a size without distorting it, its middle staying in the middle.

    Args:
        rgba: [4, H, W] uint8, not premultiplied.
        image_size: (height, width) of the result; None leaves the image as it is.
        aspect: What is done where the aspect ratios differ: "pad" adds transparent pixels, "crop"
            cuts off what is too much.

    Returns:
        The image [4, height, width], each pixel the mean over the area it covers with alpha as
        weight, and where the old pixels lie in it.

    Raises:
        ValueError: If `aspect` is another word.
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
    """Brings images of one size to another, with their cameras.

    Args:
        images: [K, 4, H, W].
        cameras: The K cameras of the images.
        image_size: (height, width) of the result.
        aspect: What is done where the aspect ratios differ: "pad" or "crop", as for `fit_image`.

    Returns:
        The images [K, 4, height, width] and their cameras.
    """
    fitted = [fit_image(image, image_size, aspect) for image in images]
    old_size = (images.shape[2], images.shape[3])
    moved = fitted[0][1].cameras(cameras, old_size, image_size)
    return np.stack([image for image, _ in fitted]), moved


def shrink(rgba: NDArray[np.uint8], longest_side: int) -> NDArray[np.uint8]:
    """Returns an image whose longer side has at most a number of pixels.

    Args:
        rgba: [4, H, W] uint8, not premultiplied.
        longest_side: The longer side of the result in pixels; a smaller image is copied.
    """
    height, width = rgba.shape[1:]
    scale = longest_side / max(height, width)
    if scale >= 1:
        return rgba.copy()
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(np.ascontiguousarray(rgba.transpose(1, 2, 0)))
    premultiplied = image.convert("RGBa")  # a transparent pixel's colour does not count
    small = premultiplied.resize(size, RESAMPLING, reducing_gap=3.0).convert("RGBA")
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))


def _overlaps(old: int, new: int, start: float, scale: float) -> NDArray[np.float32]:
    """Returns [new, old]: the share of each new pixel that each old one covers.

    New pixel i is old coordinates start + i / scale to start + (i + 1) / scale.
    """
    edges = start + np.arange(new + 1)[:, None] / scale
    low, high = np.maximum(edges[:-1], np.arange(old)), np.minimum(edges[1:], np.arange(old) + 1)
    return (np.maximum(high - low, 0) * scale).astype(np.float32)


def _resample(
    rgba: NDArray[np.uint8], rows: NDArray[np.float32], columns: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Returns the image rows @ image @ columns^T, alpha weighing the colours."""
    weight = rgba[3].astype(np.float32) / 255
    alpha = rows @ weight @ columns.T
    # Where alpha is 0 so is the colour; the floor, half of the least alpha that shows, avoids 0/0.
    divisor = np.maximum(alpha, 0.5 / 255)
    colors = [rows @ (channel * weight) @ columns.T / divisor for channel in rgba[:3]]
    resized = np.stack([*colors, alpha * 255])
    resized[:3, alpha < 0.5 / 255] = 0
    return np.rint(resized.clip(0, 255)).astype(np.uint8)
