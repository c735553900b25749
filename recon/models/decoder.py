"""The mesh decoder of the SoftRas reconstruction network: a sphere, moved and deformed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Gt, Lt
from torch import Tensor, nn

from recon.arguments import Factor, Subdivisions, Width
from recon.geometry.meshes import icosphere
from recon.geometry.mirror import mirror_pairs
from recon.models.encoder import linear_layers


class MeshDecoder(nn.Module):
    """Decodes a latent vector into the vertices of a deformed icosphere.

    Linear layers with ReLU, then two linear heads: one centroid per mesh and one offset per
    coordinate, which `deform_template` turns into vertices. The topology is fixed. Weights start as
    PyTorch's defaults. Source: the released code of Liu et al., Soft Rasterizer (arXiv 1904.01786).

    Args:
        latent: The length of the latent vector.
        hidden: The widths of the linear layers.
        subdivisions: The number of times that the icosphere is subdivided; 3 gives 642 vertices and
            1280 faces.
        template_scale: The radius of the template sphere before deformation, in (0, 1).
        centroid_scale: The factor on the centroid head.
        offset_scale: The factor on the offset head.
        mirrored: Whether every mesh is its own mirror image at world x = 0: a vertex and its mirror
            image get the mean of their offsets, and the centroid stays on the plane.

    Raises:
        ValueError: If a size is bad, or `template_scale` is outside (0, 1).
    """

    faces: Tensor
    template: Tensor
    pairs: Tensor | None

    def __init__(
        self,
        latent: Width = 512,
        hidden: Sequence[Width] = (1024, 2048),
        subdivisions: Subdivisions = 3,
        template_scale: Annotated[float, Gt(0), Lt(1)] = 0.5,
        centroid_scale: Factor = 0.1,
        offset_scale: Factor = 1.0,
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        if latent < 1 or not hidden or any(width < 1 for width in hidden):
            raise ValueError(
                f"latent and every one of hidden must be >= 1, got {latent} and {list(hidden)}"
            )
        if not 0 < template_scale < 1:  # at 1 a vertex on an axis has the logit of 1: infinite
            raise ValueError(f"template_scale must lie in (0, 1), got {template_scale}")
        sphere = icosphere(subdivisions)
        self.latent = latent
        self.centroid_scale, self.offset_scale = centroid_scale, offset_scale
        # Kept in checkpoints: weights mean nothing without the vertex order they were trained for.
        self.register_buffer("template", sphere.vertices * template_scale)
        self.register_buffer("faces", sphere.faces)
        self.register_buffer("pairs", mirror_pairs(sphere.vertices) if mirrored else None)
        self.trunk = linear_layers([latent, *hidden])
        self.centroid = nn.Linear(hidden[-1], 3)
        self.offset = nn.Linear(hidden[-1], sphere.num_vertices * 3)

    @property
    def num_vertices(self) -> int:
        """V, the number of vertices of every decoded mesh."""
        return len(self.template)

    @property
    def template_vertices(self) -> Tensor:
        """The vertices [V, 3] that zero centroid and zero offsets decode to, object units."""
        return 0.5 * self.template  # see `deform_template`

    def forward(self, latent: Tensor) -> Tensor:
        """Decodes latent vectors; the deformation is in float32 under autocast.

        Args:
            latent: [B, latent] the latent vectors.

        Returns:
            [B, V, 3] vertices within [-0.5, 0.5], object units.

        Raises:
            ValueError: If the shape is another one.
        """
        if latent.dim() != 2 or latent.shape[1] != self.latent:
            raise ValueError(f"latent must be [B, {self.latent}], got {tuple(latent.shape)}")
        features = self.trunk(latent)
        dtype = self.template.dtype
        centroid = self.centroid(features).to(dtype) * self.centroid_scale
        offset = self.offset(features).to(dtype) * self.offset_scale
        offset = offset.reshape(-1, self.num_vertices, 3)
        if self.pairs is not None:
            offset = (offset + offset.index_select(1, self.pairs)) / 2
            centroid = centroid * centroid.new_tensor([0.0, 1.0, 1.0])
        return deform_template(self.template, centroid, offset)


def deform_template(template: Tensor, centroid: Tensor, offset: Tensor) -> Tensor:
    """Moves template vertices inside a cube without letting any leave its octant around a centroid.

    With b a coordinate of the template, p its offset and c = tanh(centroid):

        u = sign(b) * sigmoid(logit(|b|) + p)                 in (-1, 1)
        v = 0.5 * (u * (1 - sign(b) * c) + c)                 in (-0.5, 0.5)

    so (0, 1) is squeezed into (c, 1), (-1, 0) into (-1, c); zero offset and centroid give 0.5 * b.
    In floating point a saturated sigmoid or tanh may reach +-0.5 but never pass it.

    A coordinate with b = 0 has no octant and logit(0) = -inf: its u is 0 and its offset has no
    effect and a zero gradient, which is the limit of the formula for b -> 0 and what the released
    code computes. Such vertices stay on the plane through the centroid.

    Args:
        template: [V, 3] with coordinates in (-1, 1).
        centroid: [B, 3] the output of the centroid head.
        offset: [B, V, 3] the output of the offset head.

    Returns:
        [B, V, 3] vertices.
    """
    sign = template.sign()
    # Where b = 0 any finite logit serves, because it is multiplied by sign(b) = 0. The true one,
    # -inf, gives NaN as the gradient of a template that is learned, and with an offset of +inf.
    magnitude = torch.where(template == 0, 0.5, template.abs())
    unit = sign * torch.sigmoid(torch.logit(magnitude) + offset)
    shift = torch.tanh(centroid)[:, None, :]
    return 0.5 * (unit * (1 - sign * shift) + shift)
