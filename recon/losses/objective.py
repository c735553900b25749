"""What a training step minimises: outlines, pixels, shading and smoothness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from recon.geometry.cameras import Cameras
from recon.losses.color import ColorSmoothnessLoss, color_l1_loss, shading_l1_loss
from recon.losses.perceptual import PerceptualLoss
from recon.losses.silhouette import silhouette_iou_loss
from recon.losses.smoothness import FlattenLoss, LaplacianLoss
from recon.models import Prediction
from recon.rendering.lighting import Lighting
from recon.rendering.renderer import SoftRenderer
from renderer_cuda import gather_faces

TERMS = (
    "silhouette",
    "color",
    "shading",
    "perceptual",
    "laplacian",
    "flatten",
    "color_smoothness",
)
# Which need a rendering of the predicted colours.
COLOR_TERMS = ("color", "perceptual")


@dataclass(frozen=True, eq=False)
class Renderings:
    """What the mesh made from each view of an object looks like in the camera of each view.

    Args:
        alpha: [N, n, n, H, W]; [:, i, j] is mesh i in camera j.
        rgba: [N, n, n, 4, H, W] in the predicted colours, over black; None if no term needs it.
        shading: [N, n, n, 4, H, W], likewise a white mesh in the light of the data.
    """

    alpha: Tensor
    rgba: Tensor | None = None
    shading: Tensor | None = None

    def tensors(self) -> list[Tensor]:
        """Returns those that there are."""
        return [x for x in (self.alpha, self.rgba, self.shading) if x is not None]


class Objective(nn.Module):
    """Renderings of several views crossed with several cameras, compared with the images.

    Colours are rendered without light, as images have theirs in their colours. Silhouettes come
    from the alpha of a colour rendering where there is one, so they cost nothing more.

    Args:
        faces: [F, 3] of the mesh which the model deforms.
        num_vertices: V of that mesh.
        weights: the factor of each of `terms`; a term which is left out or 0 is not computed. The
            smoothness terms of the shape are sums over vertices and edges, so their factors belong
            to the size of the mesh (the paper's to 642 vertices); all others are means.
        texels: R for R * R texels on each face, 0 for colours of vertices; as the model's.
        recipes: of the data, as their headers keep them; the term `shading` needs the light there.
        perceptual: what the term `perceptual` compares by; None is a `PerceptualLoss` with random
            weights.
        shape_from_color: whether the terms on colours move the shape too. The author of SoftRas
            learned colours on a shape that stood still (its issue 87).

    Raises:
        ValueError: a weight has another name or is negative, or none is positive; or the light that
            a term needs is missing, coloured or smooth.

    Source: SoftRas (arXiv 1904.01786), equation 5 and section 5.1; see the losses. The sums are
    those of its code.
    """

    # What there may be weights for. An objective of one's own adds its terms to these.
    terms: ClassVar[tuple[str, ...]] = TERMS
    faces: Tensor

    def __init__(
        self,
        faces: Tensor,
        num_vertices: int,
        weights: Mapping[str, float],
        texels: int = 0,
        recipes: Sequence[Mapping[str, Any]] = (),
        perceptual: PerceptualLoss | None = None,
        shape_from_color: bool = True,
    ) -> None:
        super().__init__()
        _require_weights(weights, self.terms)
        self.weights = {name: float(weights.get(name, 0.0)) for name in self.terms}
        self.shape_from_color, self.texels = shape_from_color, texels
        self.lighting = recorded_lighting(recipes) if self._wants("shading") else None
        self.register_buffer("faces", faces, persistent=False)
        self.laplacian_loss = LaplacianLoss(faces, num_vertices)
        self.flatten_loss = FlattenLoss(faces)
        self.smoothness_loss = ColorSmoothnessLoss(faces, texels)
        if self._wants("perceptual"):
            self.perceptual_loss = PerceptualLoss() if perceptual is None else perceptual

    @property
    def colored(self) -> bool:
        """Whether a term needs the colours of the model."""
        return self._wants(*COLOR_TERMS, "color_smoothness")

    @property
    def learns_colors(self) -> bool:
        """Whether a term compares them with images."""
        return self._wants(*COLOR_TERMS)

    @property
    def maps(self) -> tuple[str, ...]:
        """Which maps of the data a batch must bring beside images and cameras."""
        return ("shading",) if self.weights["shading"] > 0 else ()

    def render(
        self,
        renderer: SoftRenderer,
        prediction: Prediction,
        cameras: Tensor,
        sigma: float | None = None,
        gamma: float | None = None,
    ) -> Renderings:
        """Renders every mesh in every camera of its object, as far as the terms need it.

        Args:
            renderer: without lighting, its background black, and its `texture` that of `texels`.
            prediction: N * n meshes, those of one object's views side by side.
            cameras: [N, n, 16], the cameras of the views as `Cameras.rows`.
            sigma: edge softness in squared NDC units; None is the renderer's.
            gamma: temperature of the softmax over depth; likewise.

        Raises:
            ValueError: the renderer does not fit, or the model has no colours but a term needs it.
        """
        self._require_renderer(renderer)
        views = cameras.shape[:2]
        rows = cameras[:, None].expand(-1, views[1], -1, -1).flatten(0, 2)
        crossed = Cameras.from_rows(rows)
        vertices = _crossed(prediction.vertices, views)
        rgba = shading = None
        if self._wants(*COLOR_TERMS):
            still = vertices if self.shape_from_color else vertices.detach()
            textures = _crossed(self._textures(prediction), views)
            rgba = renderer(still, self.faces, textures, crossed, sigma, gamma)
        if self._wants("shading"):
            textures = self._shades(vertices, crossed)
            shading = renderer(vertices, self.faces, textures, crossed, sigma, gamma)
        if shading is not None:
            alpha = shading[:, 3]
        elif rgba is not None and self.shape_from_color:
            alpha = rgba[:, 3]
        else:
            alpha = renderer.silhouette(vertices, self.faces, crossed, sigma)
        sizes = (views[0], views[1], views[1])
        return Renderings(
            alpha.unflatten(0, sizes),
            None if rgba is None else rgba.unflatten(0, sizes),
            None if shading is None else shading.unflatten(0, sizes),
        )

    def forward(
        self, renderings: Renderings, prediction: Prediction, batch: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Computes the terms of a batch, without their weights.

        Args:
            renderings: of the predictions, see `render`.
            prediction: N * n meshes.
            batch: images [N, n, 4, H, W] in [0, 1]; and shading [N, n, H, W] in [0, 1] where a
                term needs it, see `maps`.

        Returns:
            A scalar for each term of positive weight.
        """
        count = batch["images"].shape[1]
        masks = _truth(batch["images"][:, :, 3], count)
        terms: dict[str, Tensor] = {}
        if self._wants("silhouette"):
            terms["silhouette"] = silhouette_iou_loss(renderings.alpha.flatten(0, 2), masks)
        if renderings.rgba is not None:
            rgba, images = renderings.rgba.flatten(0, 2), _truth(batch["images"], count)
            if self._wants("color"):
                terms["color"] = color_l1_loss(rgba, images)
            if self._wants("perceptual"):
                terms["perceptual"] = self.perceptual_loss(rgba, images)
        if renderings.shading is not None:
            white, shading = renderings.shading.flatten(0, 2), _truth(batch["shading"], count)
            terms["shading"] = shading_l1_loss(white, shading, masks)
        return terms | self._smoothness(prediction)

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of terms, a scalar."""
        weighted = [self.weights[name] * term for name, term in terms.items()]
        return sum(weighted[1:], start=weighted[0])

    def _smoothness(self, prediction: Prediction) -> dict[str, Tensor]:
        terms = {}
        if self._wants("laplacian"):
            terms["laplacian"] = self.laplacian_loss(prediction.vertices)
        if self._wants("flatten"):
            terms["flatten"] = self.flatten_loss(prediction.vertices)
        if self._wants("color_smoothness"):
            terms["color_smoothness"] = self.smoothness_loss(_colors(prediction))
        return terms

    def _wants(self, *names: str) -> bool:
        return any(self.weights[name] > 0 for name in names)

    def _textures(self, prediction: Prediction) -> Tensor:
        """Returns the predicted colours [B, F, K, 3] as the renderer takes them."""
        colors = _colors(prediction)
        return colors if self.texels else gather_faces(colors, self.faces)

    def _shades(self, vertices: Tensor, cameras: Cameras) -> Tensor:
        """Returns the light on every face [B, F, K, 3], K being 3 corners or one texel."""
        assert self.lighting is not None
        corners = gather_faces(vertices, self.faces)
        light = self.lighting.light(corners, cameras.eye())
        # Lights may add up to more than white, which images do not hold.
        return light.clamp(max=1).expand(-1, -1, 1 if self.texels else 3, 3)

    def _require_renderer(self, renderer: SoftRenderer) -> None:
        texture = "surface" if self.texels else "vertex"
        if self._wants(*COLOR_TERMS, "shading") and renderer.texture != texture:
            raise ValueError(
                f"renderer.texture must be {texture!r} for texels={self.texels}, "
                f"got {renderer.texture!r}"
            )
        if renderer.lighting is not None or any(renderer.background):
            raise ValueError("the renderer must have no lighting and a black background")


def _require_weights(weights: Mapping[str, float], terms: Sequence[str]) -> None:
    unknown = sorted(set(weights) - set(terms))
    if unknown or min(weights.values(), default=0) < 0 or not any(weights.values()):
        raise ValueError(
            f"loss.weights takes {tuple(terms)}, each >= 0 and one > 0, got {dict(weights)}"
        )


def _colors(prediction: Prediction) -> Tensor:
    if prediction.colors is None:
        raise ValueError("terms on colours need a model with a color_head")
    return prediction.colors


def _crossed(values: Tensor, views: torch.Size) -> Tensor:
    """Returns [N * n * n, ...]: the value of each of n views, once for each of n cameras."""
    sizes = values.shape[1:]
    each = values.unflatten(0, views)[:, :, None]
    return each.expand(views[0], views[1], views[1], *sizes).flatten(0, 2)


def _truth(images: Tensor, count: int) -> Tensor:
    """Returns [N * n * n, ...]: what each of n meshes should look like in each of n cameras."""
    return images[:, None].expand(-1, count, *images.shape[1:]).flatten(0, 2)


def recorded_lighting(recipes: Sequence[Mapping[str, Any]]) -> Lighting:
    """Makes the light in which prepared data were rendered.

    Args:
        recipes: of the prepared files, as their headers keep them.

    Raises:
        ValueError: a file was not rendered by us or without light, the lights of files differ, or
            it is not white light on flat faces.
    """
    lights = [recipe.get("rendering", {}).get("lighting") for recipe in recipes]
    if not lights or not all(lights):
        raise ValueError(
            "the term shading needs the light of the data, and these tell of none: they were not "
            "rendered from meshes with rendering.lighting"
        )
    if any(light != lights[0] for light in lights):
        raise ValueError(f"the files of the data were rendered in different lights: {lights}")
    lighting = Lighting.from_settings(lights[0])
    if not (lighting.white and lighting.normals == "face"):
        raise ValueError(
            'the term shading needs white light and normals="face" in the data, '
            f"got {lighting.settings()}"
        )
    return lighting
