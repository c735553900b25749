"""Fits a shape to images: a template is deformed until its silhouettes and colours match them.

The template moves by the parametrisation of the reconstruction network's decoder, inside a cube,
in stages from coarse to fine: silhouettes get sharper, images larger, and triangles more.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor

from recon.arguments import (
    BatchSize,
    Coordinate,
    ImageSide,
    LearningRate,
    Length,
    Sigma,
    Subdivisions,
    Weight,
)
from recon.command_line import Interruption
from recon.fitting.fit import Fit
from recon.fitting.shape.view_files import Views
from recon.fitting.stages import StagedFit, fit_stages
from recon.formats.meshes import read_mesh
from recon.geometry.cameras import Cameras
from recon.geometry.frames import turned_mesh, world_vertices
from recon.geometry.meshes import Mesh, count_components, gather_rows, icosphere, subdivide, welded
from recon.losses.color import overlap_color_l1_loss
from recon.losses.silhouette import silhouette_iou_loss, silhouette_squared_loss
from recon.losses.smoothness import FlattenLoss, LaplacianLoss
from recon.models.decoder import deform_template
from recon.rendering.renderer import SoftRenderer
from recon.schedules import Geometric, WarmupCosine

log = logging.getLogger(__name__)

SILHOUETTE_LOSSES = {"iou": silhouette_iou_loss, "squared": silhouette_squared_loss}
# Sigma falls during this share of a stage and stays for the rest, in which the mesh settles.
SIGMA_SHARE = 0.8
# The learning rate falls to this share of itself in every stage.
LAST_RATE = 0.02
# Those of the released code's demonstration. Smaller ones than usual: gradients of the last steps
# count, as silhouettes move on.
ADAM_BETAS = (0.5, 0.99)
COLOR_RATE = 0.05  # of the logits of colours
# A vertex on the wall of the cube has the logit of 1, infinity, and could never leave it.
INSIDE = 1 - 1e-3
# By what positions of a template may pass the walls, in half sides: digits of files.
_ROUNDING = 1e-4
# A template which touches the walls, as one that was normalised to a side of 1, is made smaller by
# this factor: near a wall, vertices hardly move.
_ROOM = 0.9
# Depth over which colours of faces blend, in sides of the cube.
DEPTH_SOFTNESS = 5e-3


@dataclass(frozen=True)
class Cube:
    """The axis-aligned cube in which the mesh stays.

    Args:
        center: The world coordinates of the centre of the cube.
        size: The length of a side of the cube, object units.

    Raises:
        ValueError: `center` is not 3 numbers, or `size` is not > 0.
    """

    center: Sequence[Coordinate] = (0.0, 0.0, 0.0)
    size: Length = 1.0

    def __post_init__(self) -> None:
        if len(self.center) != 3 or not self.size > 0:
            raise ValueError(
                f"center must be 3 numbers and size > 0, got {self.center} and {self.size}"
            )

    def inward(self, vertices: Tensor) -> Tensor:
        """Returns coordinates in which the cube is [-1, 1]^3."""
        return (vertices - vertices.new_tensor(self.center)) * (2 / self.size)

    def outward(self, half_units: Tensor) -> Tensor:
        """Returns world coordinates of points in a frame in which the cube is [-0.5, 0.5]^3."""
        return half_units * self.size + half_units.new_tensor(self.center)


@dataclass(frozen=True)
class ShapeStage:
    """One stage of a fit.

    Args:
        steps: The number of updates.
        subdivide: How many times every triangle is split into four before the stage.
        resolution: The number of pixels along the shorter side of the rasterized images. Larger
            images are made smaller for the stage, smaller ones are rasterized with anti-aliasing.
        sigma: The softness of the silhouettes at the beginning and at the end, squared NDC units.
            If it is far below a hundredth of the squared size of a pixel, an edge falls between the
            pixels.
        loss: The loss of silhouettes: "iou", which leads from far, or "squared", which is exact
            where pixels are partly covered.
        learning_rate: The learning rate of Adam at the beginning.
        batch: The number of views per step; None means all views.
        laplacian: The weight of `LaplacianLoss`, which is a sum over vertices.
        flatten: The weight of `FlattenLoss`, which is a sum over edges.
        color: The weight of the loss of colours, which is used where colours are wanted.

    Raises:
        ValueError: A value is out of its range.
    """

    steps: Annotated[int, Ge(1), Le(10**9)]
    subdivide: Subdivisions = 0
    resolution: ImageSide = 64
    sigma: Sequence[Sigma] = (1e-3, 1e-4)
    loss: Literal["iou", "squared"] = "iou"
    learning_rate: LearningRate = 0.01
    batch: BatchSize | None = 24
    laplacian: Weight = 3e-3
    flatten: Weight = 3e-5
    color: Weight = 0.0

    def __post_init__(self) -> None:
        counts = (self.steps, self.resolution, 1 if self.batch is None else self.batch)
        if min(counts) < 1 or self.subdivide < 0:
            raise ValueError(
                f"steps, resolution and batch must be >= 1 and subdivide >= 0, got {self}"
            )
        if len(self.sigma) != 2 or not min(self.sigma) > 0:
            raise ValueError(f"sigma must be two numbers > 0, got {list(self.sigma)}")
        if self.loss not in SILHOUETTE_LOSSES:
            raise ValueError(f"loss must be among {list(SILHOUETTE_LOSSES)}, got {self.loss!r}")
        if min(self.laplacian, self.flatten, self.color) < 0 or not self.learning_rate > 0:
            raise ValueError(f"weights must be >= 0 and learning_rate > 0, got {self}")


@dataclass(frozen=True, eq=False)
class ColoredMesh:
    """A mesh in the world of the cameras, with a colour per vertex where colours are known.

    Args:
        vertices: [V, 3] float32 positions in the world of the cameras.
        faces: [F, 3] int64 indices of vertices.
        colors: [V, 3] the colours of the vertices, sRGB in [0, 1]; None where they are unknown.
    """

    vertices: Tensor
    faces: Tensor
    colors: Tensor | None = None

    def mesh(self, frame: str = "model") -> Mesh:
        """Returns the mesh on the CPU.

        Args:
            frame: "model" for the right-handed frame of models, up +Y and front +X; "cameras" for
                the world of the cameras. Faces are counter-clockwise seen from outside in both.
        """
        mesh = Mesh(self.vertices.cpu(), self.faces.cpu())
        return turned_mesh(mesh)[0] if frame == "model" else mesh

    def subdivided(self, times: int) -> ColoredMesh:
        """Returns the same surface with every triangle split into four, several times."""
        mesh = self
        for _ in range(times):
            vertices, faces = subdivide(mesh.vertices, mesh.faces)
            colors = None if mesh.colors is None else subdivide(mesh.colors, mesh.faces)[0]
            mesh = ColoredMesh(vertices, faces, colors)
        return mesh


def read_template(
    template: str, cube: Cube, subdivisions: int = 3, radius: float = 0.25
) -> ColoredMesh:
    """Returns the shape that a fit starts from.

    Args:
        template: "sphere", or a mesh file in the frame of models. Vertices of the file at equal
            positions are merged; connected components stay separate, with a warning. A mesh which
            touches the walls of the cube is made a little smaller.
        cube: The cube in which the template must lie.
        subdivisions: How many times the faces of the sphere are split into four.
        radius: The radius of the sphere, in sides of the cube, in (0, 0.5).

    Raises:
        ValueError: The file cannot be read, or its mesh reaches out of the cube.
        FileNotFoundError: There is no such file.
    """
    if template == "sphere":
        if not 0 < radius < 0.5:
            raise ValueError(f"radius must lie in (0, 0.5), got {radius}")
        sphere = icosphere(subdivisions)
        return ColoredMesh(cube.outward(sphere.vertices * radius), sphere.faces)
    mesh = welded(read_mesh(template))
    if (parts := count_components(mesh.faces)) > 1:
        log.warning(
            "%s consists of %d parts that share no vertex: each moves alone", template, parts
        )
    vertices = world_vertices(mesh.vertices)
    reach = float(cube.inward(vertices).abs().max())
    if reach > 1 + _ROUNDING:
        raise ValueError(
            f"{template} must lie inside the cube of side {cube.size:g} around"
            f" {list(cube.center)}, but reaches {reach:.4g} times as far: scale and move the file,"
            " or set cube.size and cube.center to the place of the object"
        )
    if reach > INSIDE:
        log.info("%s fills the cube and is scaled by %g, to have room to move", template, _ROOM)
        vertices = cube.outward(cube.inward(vertices) * (_ROOM / 2))
    return ColoredMesh(vertices, mesh.faces.flip(1))


def fit_shape(
    views: Views,
    template: ColoredMesh,
    stages: Sequence[ShapeStage],
    cube: Cube,
    *,
    colors: bool = False,
    seed: int = 0,
    on_step: Callable[[int, Callable[[], ColoredMesh]], None] | None = None,
    interruption: Interruption | None = None,
    progress: bool | None = False,
) -> StagedFit[ColoredMesh]:
    """Deforms a template until it looks as in the views.

    Args:
        views: The images with their cameras; the fit runs on their device.
        template: The shape that the fit starts from, inside the cube.
        stages: The stages of the fit, from coarse to fine.
        cube: The cube which no vertex leaves.
        colors: Whether colours of the vertices are optimised too, in the stages with a weight for
            them.
        seed: The seed of the order in which views are used.
        on_step: Called with the number of the step over all stages and a function that returns the
            mesh.
        interruption: An entered context, whose signal ends the fit.
        progress: Whether to draw a progress bar; None draws it on a terminal only.

    Raises:
        ValueError: There is no stage, or no pixel of a mask is left at the resolution of a stage.
        FloatingPointError: A loss is not finite.
    """
    start = replace(template, colors=_mean_color(views, template, colors))

    def problem(stage: ShapeStage, mesh: ColoredMesh) -> _Problem:
        return _Problem(views, mesh.subdivided(stage.subdivide), stage, cube, seed)

    return fit_stages(
        [functools.partial(problem, stage) for stage in stages],
        start,
        every=None,
        on_step=on_step,
        interruption=interruption,
        progress=progress,
    )


class _Problem:
    """The unknowns of a stage and their loss."""

    def __init__(
        self, views: Views, start: ColoredMesh, stage: ShapeStage, cube: Cube, seed: int
    ) -> None:
        self.stage, self.cube, self.seed = stage, cube, seed
        self.views = _smaller(views, stage.resolution)
        self.faces = start.faces
        # The stage starts from the deformed mesh as its template, so nothing jumps.
        self.template = cube.inward(start.vertices).clamp(-INSIDE, INSIDE)
        self.parameters = {
            "bias": torch.zeros_like(self.template)[None],
            "centroid": self.template.new_zeros(1, 3),
        }
        if start.colors is not None:
            self.parameters["colors"] = torch.logit(start.colors, eps=1e-3)
        device = self.template.device
        self.laplacian = LaplacianLoss(self.faces, len(self.template)).to(device)
        self.flatten = FlattenLoss(self.faces).to(device)
        self.renderer = _renderer(self.views, stage.resolution, cube)
        self.sigma = Geometric(
            max(1, round(SIGMA_SHARE * stage.steps)), stage.sigma[1] / stage.sigma[0]
        )
        rates = dict.fromkeys(self.parameters, stage.learning_rate)
        self.options: dict[str, Any] = {
            "steps": stage.steps,
            "learning_rate": rates | ({"colors": COLOR_RATE} if "colors" in rates else {}),
            "schedule": WarmupCosine(0, stage.steps, LAST_RATE),
            "optimizer": functools.partial(torch.optim.Adam, betas=ADAM_BETAS),
            "best_from": stage.steps,  # losses of other views and sigmas do not compare
        }

    def vertices(self) -> Tensor:
        deformed = deform_template(
            self.template, self.parameters["centroid"], self.parameters["bias"]
        )
        return self.cube.outward(deformed)

    def colors(self) -> Tensor | None:
        return torch.sigmoid(self.parameters["colors"]) if "colors" in self.parameters else None

    def state(self) -> ColoredMesh:
        colors = self.colors()
        return ColoredMesh(
            self.vertices()[0].detach(), self.faces, None if colors is None else colors.detach()
        )

    def loss(self, step: int) -> dict[str, Tensor]:
        chosen = batch_of_step(len(self.views), self.stage.batch, self.seed, step)
        views, vertices = self.views[chosen], self.vertices()
        sigma, colors = self.stage.sigma[0] * self.sigma(step), self.colors()
        many = vertices.expand(len(chosen), -1, -1)
        terms: dict[str, Tensor] = {}
        if colors is not None and self.stage.color > 0:
            textures = gather_rows(colors, self.faces).expand(len(chosen), -1, -1, -1)
            rgba = self.renderer(many, self.faces, textures, views.cameras, sigma=sigma)
            alpha = rgba[:, 3]
            terms["color"] = self.stage.color * overlap_color_l1_loss(rgba, views.images)
        else:
            alpha = self.renderer.silhouette(many, self.faces, views.cameras, sigma=sigma)
        terms["silhouette"] = SILHOUETTE_LOSSES[self.stage.loss](alpha, views.masks)
        # In sides of the cube, so that weights do not depend on its size.
        inward = self.cube.inward(vertices) / 2
        terms["laplacian"] = self.stage.laplacian * self.laplacian(inward)
        terms["flatten"] = self.stage.flatten * self.flatten(inward)
        return terms

    def outcome(self, found: Fit) -> tuple[ColoredMesh, Tensor]:
        return self.state(), found.best_loss


def batch_of_step(count: int, batch: int | None, seed: int, step: int) -> Tensor:
    """Returns the indices of the views of a step: every round through them in another order.

    Args:
        count: The number of views.
        batch: The number of views of a step; None or more than `count` means all.
        seed: The seed of the orders.
        step: The number of the step, >= 0.
    """
    if batch is None or batch >= count:
        return torch.arange(count)
    per_round = count // batch
    generator = torch.Generator().manual_seed(seed + 1_000_003 * (step // per_round))
    first = step % per_round * batch
    return torch.randperm(count, generator=generator)[first : first + batch]


def _mean_color(views: Views, template: ColoredMesh, wanted: bool) -> Tensor | None:
    """Returns one colour for all vertices, the mean of what is seen of the object."""
    if not wanted:
        return None
    weight = views.masks[:, None]
    mean = (views.images[:, :3] * weight).sum((0, 2, 3)) / weight.sum().clamp(min=1)
    return mean.expand(len(template.vertices), 3).clone()


def _smaller(views: Views, resolution: int) -> Views:
    """Returns the views with at most so many pixels along the shorter side."""
    height, width = views.image_size
    if min(height, width) <= resolution:
        return views
    scale = resolution / min(height, width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    alpha = F.interpolate(views.images[:, 3:], size, mode="area")
    # Colours count as far as they are opaque.
    premultiplied = F.interpolate(views.images[:, :3] * views.images[:, 3:], size, mode="area")
    colors = (premultiplied / alpha.clamp(min=1e-6)).clamp(0, 1)  # where alpha is 0, black
    return replace(views, images=torch.cat((colors, alpha.clamp(0, 1)), dim=1))


def _renderer(views: Views, resolution: int, cube: Cube) -> SoftRenderer:
    """Returns a renderer of at least that resolution whose depths span the cube."""
    near, far = depth_range(views.cameras, cube)
    return SoftRenderer(
        views.image_size,
        anti_aliasing=max(1, round(resolution / min(views.image_size))),
        gamma=DEPTH_SOFTNESS * cube.size / (far - near),
        near=near,
        far=far,
    )


def depth_range(cameras: Cameras, cube: Cube) -> tuple[float, float]:
    """Returns the least and the greatest view depth that some point of the cube can have."""
    center = cameras.translation.new_tensor(cube.center)
    depth = (cameras.rotation[:, 2] * center).sum(1) + cameras.translation[:, 2]
    reach = 3**0.5 / 2 * cube.size  # from the middle to a corner
    far = float(depth.max()) + reach
    if not far > 0:
        raise ValueError("the cube lies behind every camera; see center and size")
    return max(float(depth.min()) - reach, 1e-3 * far), far
