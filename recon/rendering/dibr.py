"""DIB-R: hard interpolation inside the silhouette, soft alpha outside of it (Chen et al., 2019)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Gt, Lt
from torch import Tensor

from recon.arguments import Fraction, ImageSide, Length, Sigma, Supersampling
from recon.rendering.hard_renderer import HardRenderer
from recon.rendering.visible_surface import (
    SumByIndex,
    centers_of_pixels,
    corners_of,
    faces_near_pixels,
    squared_edge_distance,
)
from renderer_cuda.reference import drawable_faces
from renderer_cuda.reference_modes import doubled_area

# The least share of a pixel that a face may leave free. At a distance of zero the share is 0, whose
# logarithm is not finite; a share below 1e-12 changes no alpha in float32.
_LEAST_FREE = 1e-12


class DIBRenderer(HardRenderer):
    """Renders the colour of the nearest face inside and soft alpha outside, as DIB-R does.

    A pixel whose centre is covered has the interpolated colour of the nearest face and alpha 1; the
    gradient is that of the interpolation. Another pixel has the colour of the background and alpha
    1 - prod_j (1 - exp(-d_j^2 / sigma)), where d_j is the distance to face j in the image. Both are
    differentiated exactly; the jump of colours at the edge of a face has no gradient.

    Args:
        image_size: The (height, width) in pixels; an int means square.
        sigma: The softness of alpha outside in squared NDC units; the default of the released code
            is 1 / 7000.
        dist_eps: The coverage below which a face does not reach a pixel.
        near: The nearest view depth that is seen, in object units.
        far: The farthest view depth that is seen, in object units.
        background: The colour (3) behind everything, sRGB in [0, 1]; a call may bring its own.
        double_sided: Whether faces that turn their back to the camera are drawn too.
        perspective_correct: Whether colours are mixed on the face, as a camera sees them, instead
            of in the image, as in the paper.
        anti_aliasing: The factor by which images are rendered larger and then averaged; 1 is off.

    Raises:
        ValueError: If an argument is out of its range.

    Source: Chen et al., Learning to Predict 3D Objects with an Interpolation-based Differentiable
    Renderer, NeurIPS 2019, arXiv 1908.01210, equations 1 to 4.
    """

    def __init__(
        self,
        image_size: ImageSide | Sequence[ImageSide] = 64,
        sigma: Sigma = 1 / 7000,
        dist_eps: Annotated[float, Gt(0), Lt(1)] = 1e-4,
        near: Length = 1.0,
        far: Length = 100.0,
        background: Sequence[Fraction] = (0.0, 0.0, 0.0),
        double_sided: bool = True,
        perspective_correct: bool = False,
        anti_aliasing: Supersampling = 1,
    ) -> None:
        super().__init__(
            image_size, near, far, background, double_sided, perspective_correct, anti_aliasing
        )
        _require_softness(sigma)
        if not 0 < dist_eps < 1:
            raise ValueError(f"dist_eps must be between 0 and 1, got {dist_eps}")
        self.sigma, self.dist_eps = sigma, dist_eps

    def _rasterize(
        self, corners: Tensor, colors: Tensor, background: Tensor, sigma: float | None
    ) -> Tensor:
        seen = self._seen(corners)
        rgb = self._shade(seen, corners, colors, background)
        return torch.cat([rgb, self._alpha(corners, seen >= 0, sigma)], 1)

    def _cover(self, corners: Tensor, sigma: float | None) -> Tensor:
        return self._alpha(corners, self._seen(corners) >= 0, sigma)

    def _alpha(self, corners: Tensor, inside: Tensor, sigma: float | None) -> Tensor:
        """Returns alpha [B, 1, H, W]: 1 inside, and what faces cover of the pixels outside."""
        sigma = self.sigma if sigma is None else sigma
        _require_softness(sigma)
        limit = -math.log(self.dist_eps)  # of d^2 / sigma
        centers = centers_of_pixels(inside, corners)
        with torch.no_grad():
            reaching, radius = self._reaching(corners), math.sqrt(sigma * limit)
            faces, pixels = faces_near_pixels(corners, ~inside, reaching, radius)
            points = centers[pixels]
            near = squared_edge_distance(points, corners_of(corners, faces)) <= sigma * limit
            faces, pixels, points = faces[near], pixels[near], points[near]
        exponent = squared_edge_distance(points, corners_of(corners, faces)) / sigma
        log_free = torch.log(-torch.expm1(-exponent).clamp(max=-_LEAST_FREE))
        sums: Tensor = SumByIndex.apply(log_free[:, None], pixels, inside.numel())
        outside = -torch.expm1(sums).reshape(inside.shape)
        return torch.where(inside, 1.0, outside)[:, None]

    def _reaching(self, corners: Tensor) -> Tensor:
        """Tells which faces [B, F] have a soft edge: those drawn, and all between near and far."""
        depth = corners[..., 2]
        visible = ((depth >= self.near) & (depth <= self.far)).all(-1)
        front = self.double_sided or doubled_area(corners) < 0
        return drawable_faces(corners) & visible & front


def _require_softness(sigma: float) -> None:
    if not 0 < sigma < math.inf:
        raise ValueError(f"sigma must be a finite number above 0, got {sigma}")
