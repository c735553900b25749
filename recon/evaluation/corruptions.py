"""What may be different about an image than in training: its camera, its pixels or its mask."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from recon.datasets.image_changes import Image, ImageChange, blurred, noisy, occluded, to_rgba
from recon.formats.resampling import fit_image
from recon.geometry.cameras import Cameras
from recon.segmentation.estimate import estimate_object_mask

CameraChange = Callable[[Cameras], Cameras]

# The rows that others are compared with.
ORIGINAL, RENDERED = "original images", "rendered anew"
# A camera of a dolly zoom stays this many object units from the origin, and so out of the object.
_NEAREST = 1.0


@dataclass(frozen=True)
class Corruption:
    """A change of the input images.

    Args:
        name: The kind of change.
        level: How strong it is, in words.
        image: Makes the changed image of an image; None leaves it as it is.
        camera: Makes the cameras from which the object is rendered anew; None takes the images of
            the data.
        side: The shorter side of the images in pixels before they are brought to the size of the
            data; None is that size.
    """

    name: str
    level: str = ""
    image: ImageChange | None = None
    camera: CameraChange | None = None
    side: int | None = None

    @property
    def title(self) -> str:
        """The name and the level."""
        return f"{self.name} {self.level}".strip()

    def needs_rendering(self, image_size: tuple[int, int]) -> bool:
        """Tells whether it cannot be made from images of that height and width."""
        larger = self.side is not None and self.side > min(image_size)
        return self.camera is not None or larger


def corruptions() -> tuple[Corruption, ...]:
    """Returns all corruptions; those that others are compared with come first."""
    same = Corruption(RENDERED, camera=lambda cameras: cameras)
    by_camera = [
        *(
            Corruption("elevation", f"{degrees:+d} degrees", camera=raised(degrees))
            for degrees in (-30, -15, 15, 30)
        ),
        *(
            Corruption("distance", f"x {factor:g}", camera=moved_away(factor))
            for factor in (0.85, 1.25, 1.6)
        ),
        *(
            Corruption("field of view", f"{degrees} degrees, same size", camera=zoomed(degrees))
            for degrees in (10, 45, 60)
        ),
    ]
    by_side = [Corruption("resolution", f"{side} px", side=side) for side in (32, 128, 256)]
    by_image = [
        *(Corruption("noise", f"{std:g}", image=noisy(std)) for std in (0.05, 0.1, 0.2)),
        *(
            Corruption("blur", f"{pixels:g} px of 64", image=blurred(pixels))
            for pixels in (1, 2, 4)
        ),
        *(
            Corruption("occluded", f"{share:.0%} of the box", image=occluded(share))
            for share in (0.1, 0.2, 0.3)
        ),
        *(
            Corruption("background", f"{kind}, mask estimated", image=before(kind))
            for kind in ("plain", "shaded", "textured")
        ),
    ]
    return (Corruption(ORIGINAL), same, *by_image, *by_camera, *by_side)


# ---- cameras -------------------------------------------------------------------------------------


def raised(degrees: float) -> CameraChange:
    """Turns cameras around the origin and their horizontal axis, so that they look from above.

    Args:
        degrees: The angle; of cameras that look at the origin, their elevation grows by it.
    """
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))

    def change(cameras: Cameras) -> Cameras:
        right, up, forward = cameras.rotation.unbind(1)
        turned = (right, cosine * up + sine * forward, cosine * forward - sine * up)
        return replace(cameras, rotation=torch.stack(turned, 1))

    return change


def moved_away(factor: float) -> CameraChange:
    """Multiplies the distances of cameras from the origin."""
    return lambda cameras: replace(cameras, translation=cameras.translation * factor)


def zoomed(fov: float) -> CameraChange:
    """Sets the vertical field of view in degrees, and moves cameras so that sizes stay about equal.

    Cameras come no nearer to the origin than 1; at that distance the object is larger.
    """
    focal = 1 / math.tan(math.radians(fov) / 2)

    def change(cameras: Cameras) -> Cameras:
        factor = focal / cameras.focal[:, 1:]
        distance = cameras.translation.norm(dim=1, keepdim=True)
        nearest = (_NEAREST / distance).clamp(max=1)
        moved = cameras.translation * torch.maximum(factor, nearest)
        return replace(cameras, focal=cameras.focal * factor, translation=moved)

    return change


# ---- images --------------------------------------------------------------------------------------


def before(kind: str) -> ImageChange:
    """Lays the object over a background and estimates its mask, as for an image without one.

    Where no mask can be estimated the whole image is taken for the object.

    Args:
        kind: "plain", one colour; "shaded", a colour that changes over the image and noise of 2 of
            255; or "textured", random patches of 1/8 of the image.

    Raises:
        ValueError: If there is no such kind.
    """
    if kind not in ("plain", "shaded", "textured"):
        raise ValueError(f"kind must be plain, shaded or textured, got {kind!r}")

    def change(image: Image, generator: np.random.Generator) -> Image:
        behind = _background(kind, (image.shape[1], image.shape[2]), generator)
        alpha = image[3] / 255
        rgb = to_rgba(image[:3] * alpha + behind * (1 - alpha), image[3])[:3]
        try:
            mask = estimate_object_mask(rgb).alpha
        except ValueError:  # it finds no object
            mask = np.full_like(image[3], 255)
        return to_rgba(rgb * (mask > 0), mask)

    return change


def _background(
    kind: str, size: tuple[int, int], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Returns a background [3, H, W]."""
    height, width = size
    color = generator.uniform(40, 216, (3, 1, 1))
    if kind == "plain":
        return np.broadcast_to(color, (3, height, width))
    if kind == "textured":
        patches = generator.uniform(0, 255, (3, 8, 8))
        rows, columns = (np.arange(side) * 8 // side for side in size)
        return patches[:, rows[:, None], columns]
    slopes = generator.uniform(-40, 40, (2, 3, 1, 1))
    down, right = np.linspace(-0.5, 0.5, height)[:, None], np.linspace(-0.5, 0.5, width)
    return color + slopes[0] * down + slopes[1] * right + generator.normal(0, 2, (3, height, width))


def resampled(image: Image, image_size: tuple[int, int], side: int | None) -> Image:
    """Brings an image to a shorter side, if there is one, and then to the height and width."""
    if side is not None and side < min(image.shape[1:]):
        height, width = image.shape[1:]
        scale = side / min(height, width)
        small = (max(1, round(height * scale)), max(1, round(width * scale)))
        image, _ = fit_image(image, small)
    return fit_image(image, image_size)[0]
