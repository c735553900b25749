"""The renderer: cameras, lighting and the soft rasterizer in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from recon.arguments import Fraction, Gamma, ImageSide, Length, Sigma, Supersampling
from recon.compute import at_least_float32
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import vertex_normals
from recon.geometry.texels import texel_centers, texture_side
from recon.rendering.lighting import Lighting, corner_colors
from recon.rendering.mesh_renderer import MeshRenderer
from renderer_cuda import gather_faces, soft_rasterize, soft_silhouette

Distribution = Literal[
    "logistic",
    "uniform",
    "cubic_hermite",
    "wigner_semicircle",
    "gaussian",
    "laplace",
    "gudermannian",
    "cauchy",
    "reciprocal",
    "gumbel_max",
    "gumbel_min",
    "exponential",
    "exponential_rev",
    "gamma",
    "gamma_rev",
    "levy",
    "levy_rev",
]
TConorm = Literal[
    "product",
    "sum",
    "hard",
    "maximum",
    "einstein",
    "hamacher",
    "frank",
    "yager",
    "aczel_alsina",
    "dombi",
    "schweizer_sklar",
]


class SoftRenderer(MeshRenderer):
    """Renders batches of meshes of one topology softly, each from its own camera.

    It holds settings only; viewpoints are arguments of every call. Half-precision inputs are
    rendered in float32, under autocast too.

    Args:
        image_size: (height, width) in pixels; an int means square.
        sigma: The edge softness in squared NDC units.
        gamma: The temperature of the depth softmax in normalised depth.
        distance: What makes a face cover a pixel: "euclidean", the distance to its edges;
            "barycentric", the least barycentric coordinate; or "hard", inside or not.
        distribution: The cumulative function that makes coverage of the distance, "logistic" or
            another of `renderer_cuda.soft_silhouette`.
        squared: Whether that is a function of the signed square of the distance over `sigma`, or
            else of the signed distance over its root.
        dist_shape: The shape of the distribution "gamma" or "gamma_rev"; None is its default.
        dist_shift: The shift of a distribution on one side, "exponential", "gamma", "levy" and
            those reversed; None is none.
        alpha: How coverages of faces make alpha: "product", 1 - prod(1 - D); "sum", their mean;
            "hard", whether any is above one half; or another t-conorm of
            `renderer_cuda.soft_silhouette`.
        alpha_parameter: The parameter of the t-conorm; None is its default.
        color: How colours of faces blend: "softmax" over depth; "hard", the nearest alone; or
            "over", composed front to back, with alpha of the same faces.
        texture: What `face_textures` holds: "vertex", the colours of the three corners, or
            "surface", R * R texels.
        dist_eps: The coverage below which a face does not reach a pixel.
        eps: The weight of the background in the softmax, as exp(eps / gamma).
        near: The nearest view depth with colour, in object units.
        far: The farthest view depth with colour, in object units.
        background: The colour (3) behind everything, sRGB in [0, 1]; a call may bring its own.
        double_sided: Whether faces that turn their back to the camera are drawn too.
        perspective_correct: Whether colours are mixed on the face, as a camera sees them; the paper
            mixes them in the image.
        detach_barycentric: Whether the gradient of colours leaves out that a face which moves shows
            another place at a pixel, as the gradient of the released SoftRas code does.
        window: How the opacity of a face falls off where `color` is "over": "distribution", its
            coverage; "exp_clipped", 1 inside; or "incenter" and "compact", the windows of triangle
            splatting, where `sigma` is a power (`renderer_cuda.soft_rasterize` has the formulas).
        order: What faces are sorted by where `color` is "over": their depth at the "pixel", or the
            mean depth of their corners, "centroid".
        anti_aliasing: The factor by which images are rendered larger and then averaged; 1 is off.
        lighting: The lighting that shades the colours in `forward`; None leaves them as they are.

    Raises:
        ValueError: If `image_size` or `anti_aliasing` is bad; the rasterizer checks the others when
            it is called.
    """

    def __init__(
        self,
        image_size: ImageSide | Sequence[ImageSide] = 64,
        sigma: Sigma = 1e-5,
        gamma: Gamma = 1e-4,
        distance: Literal["euclidean", "barycentric", "hard"] = "euclidean",
        distribution: Distribution = "logistic",
        squared: bool = True,
        dist_shape: Annotated[float, Ge(0.01), Le(100)] | None = None,
        dist_shift: Annotated[float, Ge(-1e6), Le(1e6)] | None = None,
        alpha: TConorm = "product",
        alpha_parameter: Annotated[float, Ge(-1e6), Le(1e6)] | None = None,
        color: Literal["softmax", "hard", "over"] = "softmax",
        texture: Literal["vertex", "surface"] = "vertex",
        dist_eps: Annotated[float, Gt(0), Lt(0.5)] = 1e-4,
        eps: Annotated[float, Ge(-1), Le(1)] = 1e-3,
        near: Length = 1.0,
        far: Length = 100.0,
        background: Sequence[Fraction] = (0.0, 0.0, 0.0),
        double_sided: bool = True,
        perspective_correct: bool = False,
        detach_barycentric: bool = False,
        window: Literal["distribution", "exp_clipped", "incenter", "compact"] = "distribution",
        order: Literal["pixel", "centroid"] = "pixel",
        anti_aliasing: Supersampling = 1,
        lighting: Lighting | None = None,
    ) -> None:
        super().__init__(image_size, anti_aliasing)
        self.sigma, self.gamma, self.dist_eps, self.eps = sigma, gamma, dist_eps, eps
        self.distance, self.alpha, self.color, self.texture = distance, alpha, color, texture
        self.distribution, self.squared = distribution, squared
        self.dist_shape, self.dist_shift = dist_shape, dist_shift
        self.alpha_parameter = alpha_parameter
        self.near, self.far = near, far
        self.background = tuple(background)
        self.double_sided, self.perspective_correct = double_sided, perspective_correct
        self.detach_barycentric = detach_barycentric
        self.window, self.order = window, order
        self.lighting = lighting

    def forward(
        self,
        vertices: Tensor,
        faces: Tensor,
        face_textures: Tensor,
        cameras: Cameras,
        sigma: float | None = None,
        gamma: float | None = None,
        background: Sequence[float] | Tensor | None = None,
        light_direction: Tensor | None = None,
        face_opacity: Tensor | None = None,
        face_sigma: Tensor | None = None,
    ) -> Tensor:
        """Renders colour and soft alpha.

        Args:
            vertices: [B, V, 3] in world coordinates, object units.
            faces: [F, 3] int64.
            face_textures: [B, F, 3, 3] colours of the corners, or [B, F, R * R, 3] texels where
                `texture` is "surface" (R from 1 to 64), or [B, F, 3], one per face; sRGB.
            cameras: The B cameras.
            sigma: Used instead of the renderer's own, for schedules.
            gamma: Used instead of the renderer's own, for schedules.
            background: Used instead of the renderer's own; a colour (3), or images [B, 3, H, W] of
                `image_size`, to whose tensors there is a gradient. Anti-aliasing repeats their
                pixels.
            light_direction: [B, 3] or (3), used instead of that of the main light of `lighting`, or
                [B, L, 3] instead of those of all its lights; there is a gradient.
            face_opacity: [B, F] in [0, 1], the opacity of each face; there is a gradient.
            face_sigma: [B, F], sigma of each face in place of that of all; there is a gradient.

        Returns:
            rgba [B, 4, H, W], row 0 on top.

        Raises:
            ValueError: If shapes disagree, or a light's direction is bad or without `lighting`.
        """
        vertices = at_least_float32(vertices)
        projected = self._project(vertices, faces, cameras)
        textures = self._spread(face_textures.to(vertices.dtype))
        if self.lighting is not None:
            corners = gather_faces(vertices, faces)
            normals = self._smooth_normals(vertices, faces, textures.shape[2])
            eye = cameras.eye()
            textures = self.lighting(corners, textures, eye, light_direction, normals)
        elif light_direction is not None:
            raise ValueError("light_direction needs a renderer with lighting")
        rgba = soft_rasterize(
            projected,
            textures,
            self._raster_size,
            sigma=self.sigma if sigma is None else sigma,
            gamma=self.gamma if gamma is None else gamma,
            distance=self.distance,
            distribution=self.distribution,
            squared=self.squared,
            dist_shape=self.dist_shape,
            dist_shift=self.dist_shift,
            alpha=self.alpha,
            alpha_parameter=self.alpha_parameter,
            color=self.color,
            texture=self.texture,
            dist_eps=self.dist_eps,
            eps=self.eps,
            near=self.near,
            far=self.far,
            background=self._behind(background, vertices),
            double_sided=self.double_sided,
            perspective_correct=self.perspective_correct,
            detach_barycentric=self.detach_barycentric,
            face_opacity=face_opacity,
            face_sigma=face_sigma,
            window=self.window,
            order=self.order,
        )
        return self._average(rgba)

    def silhouette(
        self,
        vertices: Tensor,
        faces: Tensor,
        cameras: Cameras,
        sigma: float | None = None,
        face_opacity: Tensor | None = None,
        face_sigma: Tensor | None = None,
    ) -> Tensor:
        """Renders soft silhouettes alone, without any work on colour.

        Args:
            vertices: [B, V, 3] in world coordinates, object units.
            faces: [F, 3] int64.
            cameras: The B cameras.
            sigma: Used instead of the renderer's own, for schedules.
            face_opacity: [B, F] in [0, 1], the opacity of each face; there is a gradient.
            face_sigma: [B, F], sigma of each face in place of that of all; there is a gradient.

        Returns:
            alpha [B, H, W] in [0, 1], row 0 on top.

        Raises:
            ValueError: If shapes disagree.
        """
        alpha = soft_silhouette(
            self._project(at_least_float32(vertices), faces, cameras),
            self._raster_size,
            sigma=self.sigma if sigma is None else sigma,
            distance=self.distance,
            distribution=self.distribution,
            squared=self.squared,
            dist_shape=self.dist_shape,
            dist_shift=self.dist_shift,
            alpha=self.alpha,
            alpha_parameter=self.alpha_parameter,
            dist_eps=self.dist_eps,
            face_opacity=face_opacity,
            face_sigma=face_sigma,
        )
        return self._average(alpha)

    def extra_repr(self) -> str:
        """Shows the size and the softness in the printed module."""
        return f"image_size={self.image_size}, sigma={self.sigma}, gamma={self.gamma}"

    def _spread(self, face_textures: Tensor) -> Tensor:
        """Makes one colour per face, [B, F, 3], that of its corners or of its only texel."""
        if self.texture == "vertex":
            return corner_colors(face_textures)
        return face_textures[:, :, None] if face_textures.dim() == 3 else face_textures

    def _smooth_normals(self, vertices: Tensor, faces: Tensor, samples: int) -> Tensor | None:
        """Returns the normals [B, F, K, 3] of a smooth surface at its colours, if lights ask."""
        if self.lighting is None or self.lighting.normals == "face":
            return None
        corners = gather_faces(vertex_normals(vertices, faces), faces)
        if self.texture == "vertex":
            return corners
        weights = texel_centers(texture_side(samples)).to(corners)
        return F.normalize(torch.einsum("tk,bfkc->bftc", weights, corners), dim=-1)

    def _behind(
        self, background: Sequence[float] | Tensor | None, vertices: Tensor
    ) -> Sequence[float] | Tensor:
        """Brings the background of a call to the size, dtype and device of the rasterizer."""
        if background is None:
            return self.background
        if not isinstance(background, Tensor):
            return background
        background = background.to(vertices)
        return background if background.dim() == 1 else self._enlarge(background, len(vertices))
