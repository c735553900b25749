"""The objective of training: the weighted sum of terms, and the renderings they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon.arguments import Fraction, PositiveInt, Texels, Weight
from recon.geometry.cameras import Cameras
from recon.losses.terms import Term, needs_of, read_terms
from recon.models import Prediction
from recon.rendering.compositing import checked_color, over_color
from recon.rendering.interface import Renderer
from recon.rendering.lighting import Lighting
from renderer_cuda import gather_faces


@dataclass(frozen=True, eq=False)
class Renderings:
    """Renderings of the mesh predicted from each input view of an object, in each of its cameras.

    They are kept as terms take them, because every change of a shape costs the host time in both
    directions.

    Args:
        flat: The renderings by the names of terms' inputs: `alpha` [N * m * n, H, W], and `rgba`
            and `shading` [N * m * n, 4, H, W] if terms need them, see `recon.losses.terms`.
        views: The numbers (N, m, n): N objects, m input views and n cameras of each.
    """

    flat: Mapping[str, Tensor]
    views: tuple[int, int, int]

    @property
    def alpha(self) -> Tensor:
        """The silhouettes [N, m, n, H, W]; [:, i, j] is the mesh of input i in camera j."""
        return self.flat["alpha"].unflatten(0, self.views)

    @property
    def rgba(self) -> Tensor | None:
        """The renderings [N, m, n, 4, H, W] in predicted colours; None if no term needs them."""
        return self._unflattened("rgba")

    @property
    def shading(self) -> Tensor | None:
        """The lit renderings [N, m, n, 4, H, W] of a white mesh; None if no term needs them."""
        return self._unflattened("shading")

    def _unflattened(self, name: str) -> Tensor | None:
        return self.flat[name].unflatten(0, self.views) if name in self.flat else None


class Objective(nn.Module):
    """Renders several views crossed with several cameras, and sums terms that judge the result.

    What is rendered is what the terms need. Colours are rendered without light, as images have
    theirs in their colours. Silhouettes come from the alpha of another rendering where there is
    one, so they cost nothing more.

    Args:
        faces: [F, 3] faces of the mesh that the model deforms.
        num_vertices: The number V of vertices of that mesh.
        terms: The terms by their names, see `read_terms`; a term of weight 0 is neither built nor
            computed. The built-in smoothness terms of the shape are sums over vertices and edges,
            so their weights belong to the size of the mesh (the paper's to 642 vertices); others
            are means.
        weights: The weights by the names of the terms; they replace those of the terms.
        texels: The number R for R * R texels on each face, 0 for colours of vertices; equal to that
            of the model.
        data_configs: The configurations that made the data, as the headers of the files keep
            them; a term that needs `shading` needs the light there.
        shape_from_color: Whether the terms on colours have a gradient to the shape. The author of
            SoftRas trained colours on a fixed shape (its issue 87).
        background: The colour (3) behind the object, sRGB in [0, 1], which the renderer must have,
            too. Terms that compare with images over black need black.

    Raises:
        ValueError: The terms or weights are bad, the light that a term needs is missing, coloured
            or smooth, or the background is no colour.

    Source: SoftRas (arXiv 1904.01786), equation 5 and section 5.1; see the losses. The sums are
    those of its code.
    """

    faces: Tensor
    weights_of_terms: Tensor

    def __init__(
        self,
        faces: Tensor,
        num_vertices: PositiveInt,
        terms: Mapping[str, Term | Mapping[str, Any]],
        weights: Mapping[str, Weight] | None = None,
        texels: Texels = 0,
        data_configs: Sequence[Mapping[str, Any]] = (),
        shape_from_color: bool = True,
        background: Sequence[Fraction] = (0.0, 0.0, 0.0),
    ) -> None:
        super().__init__()
        self.background = checked_color("background", background)
        read = read_terms(terms, weights)
        mesh = {"faces": faces, "num_vertices": num_vertices, "texels": texels}
        self.weights = {name: float(term.weight) for name, term in read.items()}
        self._losses: dict[str, Callable[..., Tensor]] = {
            name: term.build(mesh) for name, term in read.items() if term.weight > 0
        }
        self._needs = {name: needs_of(name, loss) for name, loss in self._losses.items()}
        if any(self.background) and self.needs("image", "shading"):
            raise ValueError(
                "terms on images over black need the background [0, 0, 0]; over "
                f"{list(self.background)} there is photograph"
            )
        # Only for their buffers, which follow the objective to its device.
        self.modules_of_terms = nn.ModuleDict(
            {name: loss for name, loss in self._losses.items() if isinstance(loss, nn.Module)}
        )
        self.register_buffer("faces", faces, persistent=False)
        computed = torch.tensor([self.weights[name] for name in self._losses])
        self.register_buffer("weights_of_terms", computed, persistent=False)
        self.texels, self.shape_from_color = texels, shape_from_color
        self.lighting = recorded_lighting(data_configs) if self.needs("shading") else None

    def needs(self, *inputs: str) -> bool:
        """Tells whether a term needs one of some inputs, see `recon.losses.terms`."""
        return any(set(inputs) & set(needs) for needs in self._needs.values())

    @property
    def maps(self) -> tuple[str, ...]:
        """The maps of the data that a batch must have besides images and cameras."""
        return ("shading",) if self.needs("shading_map") else ()

    def render(
        self,
        renderer: Renderer,
        prediction: Prediction,
        cameras: Tensor,
        sigma: float | None = None,
        gamma: float | None = None,
    ) -> Renderings:
        """Renders every mesh in every camera of its object, as far as the terms need it.

        Args:
            renderer: A renderer without lighting, with the background of the objective, and with
                the `texture` that `texels` requires.
            prediction: The prediction of N * m meshes; those of the input views of one object
                follow each other.
            cameras: [N, n, 16] the cameras of the views as `Cameras.rows`.
            sigma: The softness of edges in squared NDC units; None uses that of the renderer.
            gamma: The temperature of the softmax over depth; None uses that of the renderer.

        Raises:
            ValueError: The renderer does not fit, the model has no colours but a term needs it, or
                the number of meshes is no multiple of N.
        """
        self._require_renderer(renderer)
        views = _numbers(prediction, cameras)
        rows = cameras[:, None].expand(-1, views[1], -1, -1).flatten(0, 2)
        crossed = Cameras.from_rows(rows, trusted=True)  # checked when the data set was opened
        vertices = _repeated(prediction.vertices, views[2])
        flat: dict[str, Tensor] = {}
        if self.needs("rgba"):
            still = vertices if self.shape_from_color else vertices.detach()
            textures = _repeated(self._textures(prediction), views[2])
            flat["rgba"] = renderer(still, self.faces, textures, crossed, sigma, gamma)
        if self.needs("shading"):
            textures = self._shades(vertices, crossed)
            flat["shading"] = renderer(vertices, self.faces, textures, crossed, sigma, gamma)
        if "shading" in flat:
            flat["alpha"] = flat["shading"][:, 3]
        elif "rgba" in flat and self.shape_from_color:
            flat["alpha"] = flat["rgba"][:, 3]
        else:
            flat["alpha"] = renderer.silhouette(vertices, self.faces, crossed, sigma)
        return Renderings(flat, views)

    def forward(
        self, renderings: Renderings, prediction: Prediction, batch: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Returns the terms of a batch without their weights: a scalar for each that is computed.

        Args:
            renderings: The renderings of the predictions, see `render`.
            prediction: The prediction of N * m meshes.
            batch: The images [N, n, 4, H, W] in [0, 1], and shading [N, n, H, W] in [0, 1] where a
                term needs it, see `maps`, and cameras [N, n, 16] where a term needs
                `true_directions`; the first m views are those of the N * m meshes.

        Raises:
            ValueError: A term needs what the batch or the prediction does not have.
        """
        inputs = self._inputs(renderings, prediction, batch)
        return {
            name: loss(**{key: _given(name, key, inputs.get(key)) for key in self._needs[name]})
            for name, loss in self._losses.items()
        }

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Returns the weighted sum, a scalar, of the terms that a call of this module returned."""
        values = torch.stack(list(terms.values()))
        return values.dot(self.weights_of_terms.to(values.dtype))

    def _inputs(
        self, renderings: Renderings, prediction: Prediction, batch: Mapping[str, Tensor]
    ) -> dict[str, Tensor | None]:
        """Returns what terms may need by its name; None is what there is not."""
        images, shading = batch["images"], batch.get("shading")
        count = renderings.views[1]
        image = _truth(images, count) if self.needs("image") else None
        return {
            **renderings.flat,
            "mask": _truth(images[:, :, 3], count) if image is None else image[:, 3],
            "image": image,
            "photograph": self._photographs(images, count) if self.needs("photograph") else None,
            "shading_map": None if shading is None else _truth(shading, count),
            "vertices": prediction.vertices,
            "faces": self.faces,
            "colors": prediction.colors,
            "direction_logits": prediction.direction_logits,
            "directions": prediction.directions,
            "true_directions": self._true_directions(batch, count),
        }

    def _photographs(self, images: Tensor, count: int) -> Tensor:
        return _truth(over_color(images, self.background), count)

    def _true_directions(self, batch: Mapping[str, Tensor], count: int) -> Tensor | None:
        """Returns the directions [N * m, 3] of the first m views, or None if no term needs them."""
        if not self.needs("true_directions") or "cameras" not in batch:
            return None
        rows = batch["cameras"][:, :count].flatten(0, 1)
        return F.normalize(Cameras.from_rows(rows, trusted=True).eye(), dim=1)

    def _textures(self, prediction: Prediction) -> Tensor:
        """Returns the predicted colours [B, F, K, 3] as the renderer takes them."""
        if prediction.colors is None:
            raise ValueError("terms on colours need a model with colours, got a model without")
        return prediction.colors if self.texels else gather_faces(prediction.colors, self.faces)

    def _shades(self, vertices: Tensor, cameras: Cameras) -> Tensor:
        """Returns the light on every face [B, F, K, 3], K being 3 corners or one texel."""
        assert self.lighting is not None
        corners = gather_faces(vertices, self.faces)
        light = self.lighting.light(corners, cameras.eye())
        # Lights may add up to more than white, which images do not hold.
        return light.clamp(max=1).expand(-1, -1, 1 if self.texels else 3, 3)

    def _require_renderer(self, renderer: Renderer) -> None:
        texture = "surface" if self.texels else "vertex"
        if self.needs("rgba", "shading") and renderer.texture != texture:
            raise ValueError(
                f"renderer.texture must be {texture!r} for texels={self.texels}, "
                f"got {renderer.texture!r}"
            )
        if renderer.lighting is not None:
            raise ValueError("the renderer must have no lighting, got renderer.lighting")
        if tuple(renderer.background) != self.background:
            raise ValueError(
                f"renderer.background must be loss.background, {list(self.background)}, "
                f"got {list(renderer.background)}"
            )


def _given(term: str, name: str, value: Tensor | None) -> Tensor:
    if value is None:
        raise ValueError(f"loss.terms.{term} needs {name}, which the model or the data do not have")
    return value


def _numbers(prediction: Prediction, cameras: Tensor) -> tuple[int, int, int]:
    """Returns N objects, m meshes of each and n cameras of each."""
    objects, count = cameras.shape[:2]
    meshes = len(prediction.vertices)
    if meshes % objects:
        raise ValueError(f"prediction must be meshes for each of {objects} objects, got {meshes}")
    return objects, meshes // objects, count


def _repeated(values: Tensor, cameras: int) -> Tensor:
    """Returns [N * m * n, ...]: the value of each of N * m meshes, once for each of n cameras."""
    return values[:, None].expand(-1, cameras, *values.shape[1:]).flatten(0, 1)


def _truth(images: Tensor, count: int) -> Tensor:
    """Returns [N * m * n, ...]: what each of m meshes should look like in each of n cameras."""
    return images[:, None].expand(-1, count, *images.shape[1:]).flatten(0, 2)


def recorded_lighting(data_configs: Sequence[Mapping[str, Any]]) -> Lighting:
    """Makes the light in which prepared data were rendered.

    Args:
        data_configs: The configurations that made the prepared files, as their headers keep them.

    Raises:
        ValueError: A file was not rendered by us or without light, the lights of files differ, or
            it is not white light on flat faces.
    """
    lights = [config.get("rendering", {}).get("lighting") for config in data_configs]
    if not lights or not all(lights):
        raise ValueError(
            "the term shading needs the light of the data, and these tell of none: they were not "
            "rendered from meshes with rendering.lighting"
        )
    if any(light != lights[0] for light in lights):
        raise ValueError(f"the files of the data were rendered in different lights: {lights}")
    lighting = Lighting.from_config(lights[0])
    if not (lighting.white and lighting.normals == "face"):
        raise ValueError(
            'the term shading needs white light and normals="face" in the data, '
            f"got {lighting.config()}"
        )
    return lighting
