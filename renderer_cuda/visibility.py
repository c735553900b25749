"""Which face is seen at each pixel: hard rasterization, without colours and without a gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from renderer_cuda import build
from renderer_cuda.reference import soft_rasterize_reference
from renderer_cuda.validation import (
    MODES,
    ImageSize,
    check_face_vertices,
    check_flags,
    check_scalars,
    count_images,
    pack_faces,
    pack_scalars,
    parse_image_size,
    widen,
)

# An index travels as two colours, each a whole number that float32 holds exactly.
_HALF = 1 << 16

_library = torch.library.Library("renderer_cuda", "FRAGMENT")
# face_vertices is [N, 3, 3]; first_face is [B + 1], or [0] when the N faces are B equal meshes.
_library.define(
    "visible_faces(Tensor face_vertices, Tensor first_face, int images, int height, int width,"
    " float near, float far, bool double_sided) -> Tensor"
)


def visible_faces(
    face_vertices: Tensor,
    image_size: ImageSize,
    *,
    first_face: Tensor | None = None,
    near: float = 1.0,
    far: float = 100.0,
    double_sided: bool = True,
) -> Tensor:
    """Find the nearest face that contains each pixel centre, outline included, the first of equals.

    That is the face whose colour `soft_rasterize` shows with color "hard" and distance "hard"; the
    same faces are left out. Not differentiable; deterministic.

    Args:
        face_vertices: [B, F, 3, 3] float32 or float64; NDC x (right), NDC y (up), view depth. Or
            [N, 3, 3], the faces of B different meshes one after the other, with first_face.
        image_size: (height, width) in pixels, an int means square.
        first_face: [B + 1] int64, for packed meshes: image b shows the faces first_face[b], ...,
            first_face[b + 1] - 1. Either on the CPU, where its values are checked; or on the device
            of face_vertices, where they are taken to rise from 0 to N, as a look would wait.
        near: Faces nearer at a pixel are not seen there; view depth.
        far: Faces farther at a pixel are not seen there; view depth.
        double_sided: Whether faces whose corners run counter-clockwise in the image are seen.

    Returns:
        [B, H, W] int32, row 0 on top: the index of the face in its own mesh, -1 where none is.

    Raises:
        ValueError: An argument has the wrong shape, dtype or range.
    """
    face_vertices = widen(face_vertices)
    height, width = _check(face_vertices, image_size, first_face, near, far, double_sided)
    build.available(face_vertices.device.type)
    seen: Tensor = torch.ops.renderer_cuda.visible_faces(
        *pack_faces(face_vertices.detach(), first_face),
        count_images(face_vertices, first_face),
        *(height, width, near, far, double_sided),
    )
    return seen


def visible_faces_reference(
    face_vertices: Tensor,
    image_size: ImageSize,
    *,
    first_face: Tensor | None = None,
    near: float = 1.0,
    far: float = 100.0,
    double_sided: bool = True,
) -> Tensor:
    """Compute what `visible_faces` computes by the oracle of the renders; same arguments."""
    face_vertices = widen(face_vertices)
    size = _check(face_vertices, image_size, first_face, near, far, double_sided)
    faces, offsets = pack_faces(face_vertices.detach(), first_face)
    images = count_images(face_vertices, first_face)
    settings = (near, far, double_sided)
    return _read_colors(faces, offsets, images, size, *settings)


def _check(
    face_vertices: Tensor,
    image_size: ImageSize,
    first_face: Tensor | None,
    near: float,
    far: float,
    double_sided: bool,
) -> tuple[int, int]:
    """Return (height, width) of checked arguments."""
    check_face_vertices(face_vertices, first_face)
    check_scalars(near=near, far=far)
    check_flags(double_sided=double_sided)
    return parse_image_size(image_size)


@torch.library.register_fake("renderer_cuda::visible_faces", lib=_library)
def _(
    face_vertices: Tensor, first_face: Tensor, images: int, height: int, width: int, *_: float
) -> Tensor:
    return face_vertices.new_empty((images, height, width), dtype=torch.int32)


# The kernel of every device for which no native one is registered, as of CUDA.
@torch.library.impl(_library, "visible_faces", "CompositeExplicitAutograd")
def _visible_in_render(
    face_vertices: Tensor,
    first_face: Tensor,
    images: int,
    height: int,
    width: int,
    near: float,
    far: float,
    double_sided: bool,
) -> Tensor:
    if not build.available(face_vertices.device.type):
        settings = (near, far, double_sided)
        size = (height, width)
        return _read_colors(face_vertices, first_face, images, size, *settings)
    # A hard render notes the face which it shows; its colours are not looked at.
    hard = {name: MODES[name].index("hard") for name in ("distance", "alpha")}
    *_, nearest_face = torch.ops.renderer_cuda.soft_rasterize(
        face_vertices,
        face_vertices.new_zeros(len(face_vertices), 1, 3),
        face_vertices.new_zeros(3),
        first_face,
        *(images, height, width),
        # All but near and far have no part in hard modes.
        pack_scalars(1.0, 0.25, 1.0, 0.0, 0.0, 1.0, 0.0, near, far),
        *(hard["distance"], hard["alpha"]),
        *(MODES["distribution"].index("logistic"), True),
        MODES["color"].index("hard") + 1,
        MODES["texture"].index("surface"),
        *(double_sided, False, False),
    )
    seen: Tensor = nearest_face
    return seen


def _read_colors(
    faces: Tensor,
    first_face: Tensor,
    images: int,
    image_size: tuple[int, int],
    near: float,
    far: float,
    double_sided: bool,
) -> Tensor:
    """Render the faces [N, 3, 3] in colours that tell their indices, and read those off."""
    first_face = first_face.cpu()
    if len(first_face) == 0:
        first_face = torch.arange(images + 1) * (len(faces) // max(images, 1))
    index = torch.arange(len(faces)) - first_face[:-1].repeat_interleave(first_face.diff())
    colors = torch.stack([index % _HALF, index // _HALF, torch.zeros_like(index)], dim=-1)
    low, high = soft_rasterize_reference(
        faces,
        colors[:, None].to(faces),
        image_size,
        first_face=first_face.to(faces.device),
        distance="hard",
        alpha="hard",
        color="hard",
        texture="surface",
        near=near,
        far=far,
        background=(-1.0, 0.0, 0.0),
        double_sided=double_sided,
    )[:, :2].unbind(1)
    return low.int() + _HALF * high.int()
