"""Ambient and directional light on coloured faces."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recon.meshes import face_normals


class Lighting(nn.Module):
    """Multiplies colours by ambient light plus one directional light on flat faces (Lambert).

    shaded = color * (ambient + directional * max(0, normal . direction))

    The product is taken on sRGB values as they are, not in linear light, as SoftRas and NMR do; it
    is physically wrong and is what their images and ours look like. Nothing is clamped: with
    ambient + directional <= 1 the result stays in [0, 1].

    Args:
        ambient: intensity of the light from everywhere, >= 0.
        directional: intensity of the light from `direction`, >= 0.
        direction: world vector (3) towards the light, of any length > 0.
        two_sided: use the normal on the side which the eye sees, so that the winding of a face does
            not matter; needs `eye` in the call. Otherwise the normal given by the winding is used,
            as in SoftRas.

    Raises:
        ValueError: a negative or non-finite intensity, or a bad direction.
    """

    direction: Tensor

    def __init__(
        self,
        ambient: float = 0.5,
        directional: float = 0.5,
        direction: Sequence[float] = (0.0, 1.0, 0.0),
        two_sided: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("ambient", ambient), ("directional", directional)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and >= 0, got {value}")
        length = math.hypot(*direction)
        if len(direction) != 3 or not (math.isfinite(length) and length > 0):
            raise ValueError(f"direction must be a finite vector (3) > 0, got {tuple(direction)}")
        self.ambient, self.directional, self.two_sided = ambient, directional, two_sided
        unit = torch.tensor([value / length for value in direction])
        self.register_buffer("direction", unit, persistent=False)  # a setting, not a weight

    def forward(
        self,
        face_vertices: Tensor,
        face_textures: Tensor,
        eye: Tensor | None = None,
        direction: Tensor | None = None,
    ) -> Tensor:
        """Shades colours; differentiable in vertices, colours and the direction of a call.

        Args:
            face_vertices: [B, F, 3, 3] corners in world coordinates.
            face_textures: [B, F, K, 3] colours on every face (K = 3 corners, or texels), or
                [B, F, 3], one colour per face; sRGB in [0, 1].
            eye: [B, 3] positions of the eyes in world coordinates; read when `two_sided`.
            direction: see `intensity`.

        Returns:
            [B, F, K, 3] shaded colours, with K = 3 corners for one colour per face.

        Raises:
            ValueError: shapes disagree, a direction is bad, or `eye` is missing.
        """
        _require_faces(face_vertices, face_textures)
        if self.two_sided and (eye is None or eye.shape != (len(face_vertices), 3)):
            actual = None if eye is None else tuple(eye.shape)
            raise ValueError(
                f"eye must have shape [{len(face_vertices)}, 3] when two_sided, got {actual}"
            )
        light = self.intensity(face_vertices, eye, direction)
        return corner_colors(face_textures) * light[:, :, None, None]

    def intensity(
        self,
        face_vertices: Tensor,
        eye: Tensor | None = None,
        direction: Tensor | None = None,
    ) -> Tensor:
        """Computes the light on flat faces, by which `forward` multiplies their colours.

        Args:
            face_vertices: [B, F, 3, 3] corners in world coordinates; B may be 1 for many eyes.
            eye: [B, 3] positions of the eyes in world coordinates; read when `two_sided`.
            direction: world vectors [B, 3], or one (3) for all, towards the light and of any
                length > 0; used instead of the setting, and there is a gradient to it. Where a face
                turns its back to the light that gradient is 0.

        Returns:
            [B, F] intensities; B is 1 when there is one mesh and the eyes do not matter.

        Raises:
            ValueError: shapes disagree, a direction is bad, or `eye` is missing.
        """
        normals = face_normals(face_vertices)
        towards = self.direction if direction is None else _unit(direction, len(normals))
        cosine = (normals * towards.to(normals.dtype)).sum(-1)
        if self.two_sided:
            cosine = torch.where(_turn_away(normals, face_vertices, eye), -cosine, cosine)
        return self.ambient + self.directional * cosine.clamp(min=0)


def _unit(direction: Tensor, batch: int) -> Tensor:
    """Returns unit vectors [N, 1, 3], or one [3] for all; N is `batch`, or any if that is 1."""
    shape = direction.shape
    if shape != (3,) and not (len(shape) == 2 and shape[1] == 3 and batch in (1, shape[0])):
        raise ValueError(f"direction must be [3] or [{batch}, 3], got {list(shape)}")
    length = direction.norm(dim=-1, keepdim=True)
    if not bool((torch.isfinite(length) & (length > 0)).all()):
        raise ValueError(f"direction must be finite and > 0, got {direction.tolist()}")
    unit = direction / length
    return unit[:, None] if unit.dim() == 2 else unit


def corner_colors(face_textures: Tensor) -> Tensor:
    """Gives the three corners of a face its one colour: [B, F, 3] -> [B, F, 3, 3].

    Colours which already are [B, F, K, 3] are returned as they are.
    """
    if face_textures.dim() == 3:
        return face_textures[:, :, None, :].expand(-1, -1, 3, -1)
    return face_textures


def facing_normals(face_vertices: Tensor, eye: Tensor | None) -> Tensor:
    """Computes the unit normals of faces on the sides which the eyes see.

    Args:
        face_vertices: [B, F, 3, 3] corners in world coordinates; B may be 1 for many eyes.
        eye: [B, 3] positions of the eyes in world coordinates.

    Returns:
        [B, F, 3], zero for a triangle without area.

    Raises:
        ValueError: shapes disagree, or `eye` is missing.
    """
    normals = face_normals(face_vertices)
    away = _turn_away(normals, face_vertices, eye)[..., None]
    return torch.where(away, -normals, normals)


def _turn_away(normals: Tensor, face_vertices: Tensor, eye: Tensor | None) -> Tensor:
    """Tells which normals [B, F] point away from the eye."""
    batch = len(face_vertices)
    if eye is None or eye.dim() != 2 or eye.shape[1] != 3 or batch not in (1, len(eye)):
        actual = None if eye is None else tuple(eye.shape)
        raise ValueError(f"eye must have shape [B, 3] for {batch} meshes, got {actual}")
    sight = face_vertices[:, :, 0] - eye.to(normals.dtype)[:, None]
    return (normals * sight).sum(-1) > 0


def _require_faces(face_vertices: Tensor, face_textures: Tensor) -> None:
    if face_vertices.dim() != 4 or face_vertices.shape[2:] != (3, 3):
        raise ValueError(
            f"face_vertices must have shape [B, F, 3, 3], got {tuple(face_vertices.shape)}"
        )
    if (
        face_textures.dim() not in (3, 4)
        or face_textures.shape[:2] != face_vertices.shape[:2]
        or face_textures.shape[-1] != 3
    ):
        batch, faces = face_vertices.shape[:2]
        raise ValueError(
            f"face_textures must have shape [{batch}, {faces}, K, 3] or [{batch}, {faces}, 3], "
            f"got {tuple(face_textures.shape)}"
        )
