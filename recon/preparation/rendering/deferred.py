"""Deferred rendering: which face is seen at each sample first, colours afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recon.geometry.meshes import face_normals
from recon.preparation.rendering.coincident import OPPOSITE
from recon.preparation.rendering.supersampling import (
    PENDING,
    average_samples,
    color_samples,
    pack_colors,
    pack_texels,
)
from recon.preparation.rendering.texturing import FAINT, Textures, interpolate, locate
from recon.rendering.lighting import facing_normals
from renderer_cuda import visible_faces

# Faces whose depths differ by less, in sides of the object, lie on each other; float32 keeps depths
# of the standard views to 1e-6.
TOGETHER = 1e-4


@dataclass(frozen=True)
class Scene:
    """An object in the world, before cameras.

    Attributes:
        vertices: [V, 3] float32 world coordinates, all of them corners of faces.
        faces: [F, 3] int64.
        corners: [1, F, 3, 3] the corners of the faces.
        colors: [F, 3] sRGB in [0, 1].
        textures: The textures of the faces; None if no face has one.
        two_sided: Whether some faces coincide with faces of other colours that are turned to the
            other side.
    """

    vertices: Tensor
    faces: Tensor
    corners: Tensor
    colors: Tensor
    textures: Textures | None
    two_sided: bool = False


@dataclass(frozen=True)
class Views:
    """Some views of a scene.

    Attributes:
        projected: [K, F, 3, 3] the corners as NDC x, NDC y and view depth.
        light: [K, F] the light on the faces.
        eye: [K, 3] the positions of the eyes, in world coordinates.
        near, far: The bounds of all depths.
    """

    projected: Tensor
    light: Tensor
    eye: Tensor
    near: float
    far: float


def render_views(
    scene: Scene,
    views: Views,
    image_size: tuple[int, int],
    supersample: int,
    maps: Sequence[str],
) -> dict[str, Tensor]:
    """Renders images and maps.

    Args:
        scene: The object.
        views: The views from which the object is seen.
        image_size: (height, width) in pixels.
        supersample: The number of samples along each side of a pixel.
        maps: The maps to render, among "shading", "depth" and "normals".

    Returns:
        "images" and the maps, with the shapes and types of the layout.
    """
    height, width = image_size
    seen = faces_seen(scene, views, (height * supersample, width * supersample))
    rendered = {"images": average_samples(_shade(scene, views, seen, supersample), supersample)}
    if "shading" in maps:
        white = views.light.clamp(max=1)[..., None].expand(-1, -1, 3)
        samples = color_samples(seen, pack_colors(white, supersample))
        rendered["shading"] = average_samples(samples, supersample)[:, 0]
    if "depth" in maps or "normals" in maps:
        seen = faces_seen(scene, views, image_size)
    if "depth" in maps:
        pairs = zip(views.projected, seen, strict=True)
        rendered["depth"] = torch.stack([_depth(corners, faces) for corners, faces in pairs])
    if "normals" in maps:
        facing = facing_normals(scene.corners, views.eye).mul(127).round().to(torch.int8)
        rendered["normals"] = torch.stack(
            [_values_seen(faces, n.t(), 0) for faces, n in zip(seen, facing, strict=True)]
        )
    return rendered


def faces_seen(scene: Scene, views: Views, size: tuple[int, int]) -> Tensor:
    """Returns the face [K, H, W] int32 seen at every sample, -1 where there is none.

    Of two faces in the same place the one turned towards the eye is seen, and through a hole of a
    texture the faces whose textures have no holes.
    """
    seen = visible_faces(views.projected, size, near=views.near, far=views.far)
    if scene.two_sided:
        _turn_to_the_eye(scene, views, seen)
    textures = scene.textures
    if textures is None or not bool(textures.holed.any()):
        return seen
    solid = _places(~textures.holed)
    behind = visible_faces(views.projected[:, solid], size, near=views.near, far=views.far)
    for view, faces in enumerate(seen):
        holed = _places(_values_seen(faces, textures.holed, False))
        texels = textures.look_up(locate(views.projected[view], faces, holed))
        holes = holed[texels[:, 3] < FAINT]
        faces.view(-1)[holes] = _values_seen(behind[view].view(-1)[holes], solid.int(), -1)
    return seen


def _turn_to_the_eye(scene: Scene, views: Views, seen: Tensor) -> None:
    """Replaces the faces [K, H, W] seen from behind by those that lie on them, facing the eye."""
    front = visible_faces(
        views.projected.flip(2),  # outward faces of models run the other way on an image
        (seen.shape[1], seen.shape[2]),
        near=views.near,
        far=views.far,
        double_sided=False,
    )
    normals = face_normals(scene.corners[0])
    for projected, all_sides, towards in zip(views.projected, seen, front, strict=True):
        places = _places((towards >= 0) & (towards != all_sides))
        pairs = (faces.reshape(-1)[places].long() for faces in (all_sides, towards))
        one, other = (normals[faces] for faces in pairs)
        # Faces that merely meet in an edge of the silhouette keep their places.
        places = places[(one * other).sum(1) < OPPOSITE]
        depths = [
            interpolate(projected[..., 2].t(), locate(projected, faces, places))
            for faces in (all_sides, towards)
        ]
        together = places[depths[1] - depths[0] < TOGETHER]
        all_sides.view(-1)[together] = towards.reshape(-1)[together]


def _shade(scene: Scene, views: Views, seen: Tensor, supersample: int) -> Tensor:
    """Returns the packed colour [K, H, W] of every sample."""
    colors = (scene.colors * views.light[..., None]).clamp_(max=1)
    table = pack_colors(colors, supersample)
    textures = scene.textures
    if textures is None:
        return color_samples(seen, table)
    samples = color_samples(seen, table.masked_fill_(textures.textured, PENDING))
    # Views are shaded one by one, as the faces of one view fit into the processor's cache.
    for view, flat in enumerate(samples.flatten(1)):
        pending = _places(flat == PENDING)
        hits = locate(views.projected[view], seen[view], pending)
        light = views.light[view].index_select(0, hits.faces)
        flat.index_copy_(0, pending, pack_texels(textures.look_up(hits), light, supersample))
    return samples


def _depth(projected: Tensor, seen: Tensor) -> Tensor:
    """Returns the view depth [H, W] of the faces seen, 0 where there is none."""
    depth = torch.zeros(seen.shape)
    covered = _places(seen >= 0)
    depth.view(-1)[covered] = interpolate(projected[..., 2].t(), locate(projected, seen, covered))
    return depth


def _values_seen(seen: Tensor, values: Tensor, nothing: bool | int) -> Tensor:
    """Returns the value [..., F] of each face seen [...], or `nothing` where there is none."""
    table = torch.cat([values.new_full((*values.shape[:-1], 1), nothing), values], dim=-1)
    picked = table.index_select(-1, seen.reshape(-1) + 1)
    return picked.view(*values.shape[:-1], *seen.shape)


def _places(chosen: Tensor) -> Tensor:
    """Returns the positions [N] int64 in the flattened tensor where it is true."""
    return torch.from_numpy(np.flatnonzero(chosen.numpy()))  # twice as fast as torch's
