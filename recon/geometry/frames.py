"""The frame of models, and the world of the renderings into which they are turned.

Models have the ShapeNetCore v1 frame: front +X, up +Y, right-handed. The world of the renderings
of Kato et al. (Neural Mesh Renderer, arXiv 1711.07566) is (-z, y, -x) of it: fronts face -Z, and it
is left-handed, as its cameras are, so nothing looks mirrored.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.geometry.texels import turned_texels


def world_vertices(vertices: Tensor) -> Tensor:
    """Turns positions or directions [..., 3] of the model frame into the world: (-z, y, -x).

    The same turn leads back.
    """
    x, y, z = vertices.unbind(-1)
    return torch.stack([-z, y, -x], dim=-1)


def world_cameras(cameras: Cameras) -> Cameras:
    """Returns the cameras which see the world as `cameras` see the model frame.

    Args:
        cameras: The cameras, whose world coordinates are those of the model frame.
    """
    return Cameras(
        world_vertices(cameras.rotation), cameras.translation, cameras.focal, cameras.center
    )


def turned_mesh(mesh: Mesh, colors: Tensor | None = None) -> tuple[Mesh, Tensor | None]:
    """Turns a mesh of the world into the frame of models, or back, with its colours.

    The corners of faces are named in the opposite order, so that outsides stay outsides.

    Args:
        mesh: The mesh of V vertices and F faces, without colours of its own.
        colors: The colours [V, 3] of vertices, or [F, R * R, 3] texels.
    """
    turned = Mesh(world_vertices(mesh.vertices), mesh.faces.flip(1))
    if colors is not None and colors.dim() == 3:
        colors = turned_texels(colors)
    return turned, colors
