"""Colour heads: the colours of a mesh from the image and its latent vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon.arguments import PositiveInt, Texels, Width
from recon.compute import at_least_float32
from recon.models.encoder import linear_layers

# Images whose palettes are picked together on a CPU.
_AT_ONCE = 4


class ColoredSurface:
    """Which points of a mesh have colours: its vertices, or R * R texels on each face.

    Args:
        num_vertices: The number V of vertices of the mesh.
        num_faces: The number F of faces of the mesh.
        texels: The number R for R * R texels on each face; 0 means colours of vertices.

    Raises:
        ValueError: If the mesh is empty, or `texels` is negative.
    """

    def __init__(self, num_vertices: int, num_faces: int, texels: int) -> None:
        if min(num_vertices, num_faces) < 1 or texels < 0:
            raise ValueError(
                "num_vertices and num_faces must be >= 1 and texels >= 0, got "
                f"{num_vertices}, {num_faces} and {texels}"
            )
        self.num_vertices, self.num_faces, self.texels = num_vertices, num_faces, texels

    @property
    def samples(self) -> int:
        """S, the number of points."""
        return self.num_faces * self.texels**2 if self.texels else self.num_vertices

    def arrange(self, colors: Tensor) -> Tensor:
        """Returns colours [B, S, 3] as [B, V, 3], or as [B, F, R * R, 3] texels."""
        return colors.unflatten(1, (self.num_faces, -1)) if self.texels else colors


class PaletteHead(nn.Module):
    """Mixes every colour of the surface from a few colours which it picks from the image.

    A sampling network gives each pixel a weight for each of N palette colours, by a softmax over
    the pixels in which a pixel counts as much as it is opaque; a palette colour is the weighted
    mean of the pixels. A selection network gives each surface sample weights of the palette
    colours, by a softmax over these; its colour is their mean. So all colours lie in the convex
    hull of those which the image shows, and the background is never picked.

    Source: Liu et al., Soft Rasterizer (arXiv 1904.01786), section 4.1, which was never released
    as code; 10 to 20 palette colours are its author's word (SoftRas, issue 44). Our choice: both
    networks are products of two small factors instead of full layers (which would be 512 x 64 x 64
    x N weights): the weight of a pixel is the product of what the latent vector asks for and what
    the pixel and its neighbours are; the selection is mixed from `modes` learned fields.

    Args:
        num_vertices: The number V of vertices of the meshes to colour.
        num_faces: The number F of faces of the meshes to colour.
        latent: The length of the latent vector.
        texels: The number R for R * R texels on each face; 0 means colours of vertices.
        palette: The number N of palette colours.
        width: The number of channels by which pixels are described.
        modes: The number of fields over the surface from which selections are mixed.
        hidden: The widths of the layers between the latent vector and both networks.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        num_vertices: PositiveInt,
        num_faces: PositiveInt,
        latent: Width = 512,
        texels: Texels = 0,
        palette: Width = 20,
        width: Width = 16,
        modes: Width = 128,
        hidden: Sequence[Width] = (512,),
    ) -> None:
        super().__init__()
        if min(latent, palette, width, modes, *hidden) < 1:
            raise ValueError(
                "latent, palette, width, modes and hidden must be >= 1, got "
                f"{latent}, {palette}, {width}, {modes} and {list(hidden)}"
            )
        self.latent, self.palette_size, self.modes = latent, palette, modes
        self.surface = ColoredSurface(num_vertices, num_faces, texels)
        self.trunk = linear_layers([latent, *hidden])
        last = [latent, *hidden][-1]
        self.keys = nn.Sequential(
            nn.Conv2d(6, width, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, kernel_size=1),
        )
        self.queries = nn.Linear(last, palette * width)
        self.mixture = nn.Linear(last, palette * modes)
        self.fields = nn.Parameter(torch.randn(self.surface.samples, modes) / modes**0.5)

    def forward(self, latent: Tensor, image: Tensor) -> Tensor:
        """Colours the meshes.

        Args:
            latent: [B, latent] the latent vectors.
            image: [B, 4, H, W] RGBA in [0, 1], colours not multiplied by alpha; any size.

        Returns:
            [B, V, 3], or [B, F, R * R, 3] texels; sRGB in [0, 1], float32 under autocast too.

        Raises:
            ValueError: If shapes are wrong.
        """
        _require_inputs(latent, image, self.latent)
        features = self.trunk(latent)
        palette = self.palette(features, image)
        mixture = self.mixture(features).unflatten(1, (self.modes, self.palette_size))
        with torch.autocast(latent.device.type, enabled=False):
            # One matrix [S, modes] times [modes, B * N] is faster than B small products.
            logits = self.fields @ at_least_float32(mixture).transpose(0, 1).flatten(1)
            weights = torch.softmax(logits.unflatten(1, (-1, self.palette_size)), dim=-1)
            colors = torch.bmm(weights.transpose(0, 1), palette)
        return self.surface.arrange(colors.clamp(0, 1))  # rounding may pass 1 by a little

    def palette(self, features: Tensor, image: Tensor) -> Tensor:
        """Picks palettes [B, N, 3] from images for the features [B, hidden] of their latents."""
        queries = self.queries(features).unflatten(1, (self.palette_size, -1))
        # How many pixels are seen decides about shapes: a GPU would have to be waited for.
        if len(image) and image.device.type == "cpu" and not torch.compiler.is_compiling():
            return self._palette_of_seen_pixels(queries, image)
        return self._palette_of_all_pixels(queries, image)

    def _palette_of_all_pixels(self, queries: Tensor, image: Tensor) -> Tensor:
        keys = _pixels(self.keys(_with_coordinates(image)))
        return _weighted_means(queries, keys, _log_opacity(image), _pixels(image[:, :3]))

    def _palette_of_seen_pixels(self, queries: Tensor, image: Tensor) -> Tensor:
        """The same from the pixels that have a weight, which are a quarter of all."""
        opacity = _log_opacity(image)
        surroundings = _Surroundings(_with_coordinates(image))
        colors = _pixels(image[:, :3])
        seen = opacity > -torch.inf
        counts, pixels = seen.sum(1), seen.nonzero()[:, 1]
        starts = counts.cumsum(0) - counts
        # Of much the same number, as the others of a few are filled up to the largest one.
        order = counts.argsort()
        found = []
        for few, asked in zip(order.split(_AT_ONCE), queries[order].split(_AT_ONCE), strict=True):
            place = torch.arange(int(counts[few].max()), device=image.device)
            chosen = pixels[(starts[few, None] + place).clamp(max=len(pixels) - 1)]
            keys = self._keys_of(surroundings.gather(few, chosen))
            weight = opacity[few[:, None], chosen]
            weight = weight.masked_fill(place >= counts[few, None], -torch.inf)
            found.append(_weighted_means(asked, keys, weight, colors[few[:, None], chosen]))
        return torch.cat(found)[order.argsort()]

    def _keys_of(self, patches: Tensor) -> Tensor:
        """The keys [..., width] of the pixels in the middle of patches [..., 6 * 9]."""
        first, second = cast(nn.Conv2d, self.keys[0]), cast(nn.Conv2d, self.keys[2])
        hidden = torch.relu(F.linear(patches, first.weight.flatten(1), first.bias))
        return F.linear(hidden, second.weight.flatten(1), second.bias)


class VertexColorHead(nn.Module):
    """Regresses every colour of the surface from the latent vector alone, through a sigmoid.

    Args:
        num_vertices: The number V of vertices of the meshes to colour.
        num_faces: The number F of faces of the meshes to colour.
        latent: The length of the latent vector.
        texels: The number R for R * R texels on each face; 0 means colours of vertices.
        hidden: The widths of the linear layers.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        num_vertices: PositiveInt,
        num_faces: PositiveInt,
        latent: Width = 512,
        texels: Texels = 0,
        hidden: Sequence[Width] = (1024,),
    ) -> None:
        super().__init__()
        if min(latent, *hidden, 1) < 1:
            raise ValueError(f"latent and hidden must be >= 1, got {latent} and {list(hidden)}")
        self.latent = latent
        self.surface = ColoredSurface(num_vertices, num_faces, texels)
        self.trunk = linear_layers([latent, *hidden])
        self.colors = nn.Linear([latent, *hidden][-1], self.surface.samples * 3)

    def forward(self, latent: Tensor, image: Tensor) -> Tensor:
        """Colours the meshes, with the arguments and the result of `PaletteHead`.

        Raises:
            ValueError: If shapes are wrong.
        """
        _require_inputs(latent, image, self.latent)
        values = at_least_float32(self.colors(self.trunk(latent))).unflatten(1, (-1, 3))
        return self.surface.arrange(torch.sigmoid(values))


def _with_coordinates(image: Tensor) -> Tensor:
    """Returns [B, 6, H, W]: colours times alpha, alpha, and x and y in [-1, 1]."""
    height, width = image.shape[2:]
    y = torch.linspace(-1, 1, height, dtype=image.dtype, device=image.device)
    x = torch.linspace(-1, 1, width, dtype=image.dtype, device=image.device)
    grid = torch.stack((x.expand(height, width), y[:, None].expand(height, width)))
    # The colour of a transparent pixel must not matter.
    colors = image[:, :3] * image[:, 3:]
    return torch.cat((colors, image[:, 3:], grid.expand(len(image), -1, -1, -1)), dim=1)


class _Surroundings:
    """The 3 x 3 pixels around pixels of images [B, C, H, W], black beyond the border."""

    def __init__(self, image: Tensor) -> None:
        height, self.width = image.shape[2:]
        self.stride = self.width + 2
        self.size = (height + 2) * self.stride
        self.rows = F.pad(image, (1, 1, 1, 1)).permute(0, 2, 3, 1).reshape(-1, image.shape[1])
        steps = [y * self.stride + x for y in range(3) for x in range(3)]
        self.steps = torch.tensor(steps, device=image.device)

    def gather(self, images: Tensor, pixels: Tensor) -> Tensor:
        """Returns [b, P, C * 9], laid out as a kernel, of pixels [b, P] of b images."""
        corner = pixels.div(self.width, rounding_mode="floor") * self.stride + pixels % self.width
        corner = corner + images[:, None] * self.size
        return self.rows[corner[..., None] + self.steps].transpose(-1, -2).flatten(-2)


def _weighted_means(queries: Tensor, keys: Tensor, log_opacity: Tensor, colors: Tensor) -> Tensor:
    """Returns [B, N, 3], means of colours [B, P, 3] by the softmax of N queries over P keys."""
    with torch.autocast(queries.device.type, enabled=False):
        logits = torch.bmm(at_least_float32(queries), at_least_float32(keys).transpose(1, 2))
        weights = torch.softmax(logits + log_opacity[:, None], dim=-1)
        return torch.bmm(weights, at_least_float32(colors))


def _pixels(image: Tensor) -> Tensor:
    """Returns [B, H * W, C] of images [B, C, H, W]."""
    return image.flatten(2).transpose(1, 2)


def _log_opacity(image: Tensor) -> Tensor:
    """Returns [B, H * W], log alpha and so -inf in the background; 0 where all is background."""
    alpha = at_least_float32(image[:, 3]).flatten(1)
    seen = alpha > 0
    logarithm = torch.where(seen, torch.where(seen, alpha, 1.0).log(), -torch.inf)
    return torch.where(seen.any(1, keepdim=True), logarithm, 0.0)


def _require_inputs(latent: Tensor, image: Tensor, length: int) -> None:
    if latent.dim() != 2 or latent.shape[1] != length:
        raise ValueError(f"latent must be [B, {length}], got {list(latent.shape)}")
    if image.dim() != 4 or image.shape[:2] != (len(latent), 4):
        raise ValueError(f"image must be [{len(latent)}, 4, H, W], got {list(image.shape)}")
