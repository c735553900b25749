"""Ambient light and directional lights on coloured faces, flat or smooth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from recon.arguments import Coordinate, Intensity
from recon.geometry.meshes import face_normals

NORMALS = ("face", "vertex")
WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class DirectionalLight:
    """Light which comes from one direction, as that of the sun.

    Args:
        intensity: The brightness on a face square to the light, >= 0.
        direction: The world vector (3) towards the light, of any length > 0.
        color: The factor (3) on the intensity of red, green and blue, each >= 0.

    Raises:
        ValueError: If a number is negative or not finite, or a direction has no length.
    """

    intensity: float = 0.5
    direction: Sequence[float] = (0.0, 1.0, 0.0)
    color: Sequence[float] = WHITE

    def __post_init__(self) -> None:
        _require_intensity("intensity", self.intensity)
        _require_color("color", self.color)
        length = math.hypot(*self.direction)
        if len(self.direction) != 3 or not (math.isfinite(length) and length > 0):
            raise ValueError(
                f"direction must be a finite vector (3) > 0, got {tuple(self.direction)}"
            )

    @property
    def unit(self) -> tuple[float, ...]:
        """The direction with length 1."""
        length = math.hypot(*self.direction)
        return tuple(value / length for value in self.direction)


class Lighting(nn.Module):
    """Multiplies colours by ambient light plus directional lights on faces (Lambert).

    shaded = color * (ambient + sum over lights of intensity * max(0, normal . direction))

    The product is taken on sRGB values as they are, not in linear light, as SoftRas and NMR do; it
    is physically wrong and is what their images and ours look like. Nothing is clamped: while all
    intensities sum to at most 1 the result stays in [0, 1].

    Args:
        ambient: The intensity of the light from everywhere, >= 0.
        directional: The intensity of the main light, which comes from `direction`, >= 0.
        direction: The world vector (3) towards the main light, of any length > 0.
        two_sided: Use the normal on the side which the eye sees, so that the winding of a face does
            not matter; needs `eye` in the call. Otherwise the normal given by the winding is used,
            as in SoftRas.
        color: The factor (3) on the main light, see `DirectionalLight`.
        ambient_color: The factor (3) on the light from everywhere, see `DirectionalLight`.
        further: The lights besides the main one.
        normals: "face", flat faces of one brightness; or "vertex", normals which the caller
            interpolates between the vertices, so that the surface looks smooth.

    Raises:
        ValueError: If an intensity is negative or not finite, a direction or colour is bad, or
            `normals` is another name.
    """

    directions: Tensor
    ambient_light: Tensor
    strengths: Tensor

    def __init__(
        self,
        ambient: Intensity = 0.5,
        directional: Intensity = 0.5,
        direction: Sequence[Coordinate] = (0.0, 1.0, 0.0),
        two_sided: bool = False,
        *,
        color: Sequence[Intensity] = WHITE,
        ambient_color: Sequence[Intensity] = WHITE,
        further: Sequence[DirectionalLight] = (),
        normals: Literal["face", "vertex"] = "face",
    ) -> None:
        super().__init__()
        _require_intensity("ambient", ambient)
        _require_intensity("directional", directional)
        _require_color("ambient_color", ambient_color)
        if normals not in NORMALS:
            raise ValueError(f"normals must be one of {', '.join(NORMALS)}, got {normals!r}")
        self.ambient, self.ambient_color = ambient, tuple(ambient_color)
        self.lights = (DirectionalLight(directional, direction, color), *further)
        self.two_sided, self.normals = two_sided, normals
        colors = [self.ambient_color, *(light.color for light in self.lights)]
        self.white = all(tuple(color) == WHITE for color in colors)
        # White light has one channel instead of three equal ones.
        channels = torch.tensor(colors, dtype=torch.float64)[:, : 1 if self.white else 3]
        strengths = torch.tensor([light.intensity for light in self.lights], dtype=torch.float64)
        # These are constants, not weights, in double precision so that double inputs get them
        # unrounded.
        self.register_buffer("ambient_light", ambient * channels[0], persistent=False)
        self.register_buffer("strengths", strengths[:, None] * channels[1:], persistent=False)
        units = torch.tensor([light.unit for light in self.lights], dtype=torch.float64)
        self.register_buffer("directions", units, persistent=False)

    def config(self) -> dict[str, Any]:
        """Returns plain data that describes the light, without those options nobody changed."""
        main, *further = self.lights
        plain = {
            "ambient": self.ambient,
            "directional": main.intensity,
            "direction": [round(value, 6) for value in main.unit],
            "two_sided": self.two_sided,
        }
        more = {
            "color": [*main.color],
            "ambient_color": [*self.ambient_color],
            "further": [
                {
                    "intensity": light.intensity,
                    "direction": [round(value, 6) for value in light.unit],
                    "color": [*light.color],
                }
                for light in further
            ],
            "normals": self.normals,
        }
        usual = {"color": [*WHITE], "ambient_color": [*WHITE], "further": [], "normals": "face"}
        return plain | {name: value for name, value in more.items() if value != usual[name]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Lighting:
        """Makes the light which `config` describes, such as that of prepared data.

        Raises:
            ValueError: If an argument is unknown or bad.
        """
        further = [DirectionalLight(**light) for light in config.get("further", [])]
        try:
            return cls(**{**config, "further": further})
        except TypeError as error:
            raise ValueError(f"not the configuration of a light: {dict(config)}") from error

    def forward(
        self,
        face_vertices: Tensor,
        face_textures: Tensor,
        eye: Tensor | None = None,
        direction: Tensor | None = None,
        normals: Tensor | None = None,
    ) -> Tensor:
        """Shades colours; differentiable in vertices, colours, normals and directions of a call.

        Args:
            face_vertices: [B, F, 3, 3] corners in world coordinates.
            face_textures: [B, F, K, 3] colours on every face (K = 3 corners, or texels), or
                [B, F, 3], one colour per face; sRGB in [0, 1].
            eye: [B, 3] the positions of the eyes in world coordinates; they are read when
                `two_sided`.
            direction: The directions of the lights, as for `light`.
            normals: [B, F, K, 3] unit normals where the colours are; read when the setting
                `normals` is "vertex".

        Returns:
            [B, F, K, 3] shaded colours, with K = 3 corners for one colour per face.

        Raises:
            ValueError: If shapes disagree, a direction is bad, or `eye` or `normals` is missing.
        """
        _require_faces(face_vertices, face_textures)
        if self.two_sided and (eye is None or eye.shape != (len(face_vertices), 3)):
            actual = None if eye is None else tuple(eye.shape)
            raise ValueError(
                f"eye must have shape [{len(face_vertices)}, 3] when two_sided, got {actual}"
            )
        colors = corner_colors(face_textures)
        if self.normals == "vertex" and (normals is None or normals.shape != colors.shape):
            actual = None if normals is None else tuple(normals.shape)
            raise ValueError(
                f'normals must have shape {list(colors.shape)} for normals="vertex", got {actual}'
            )
        return colors * self.light(face_vertices, eye, direction, normals)

    def light(
        self,
        face_vertices: Tensor,
        eye: Tensor | None = None,
        direction: Tensor | None = None,
        normals: Tensor | None = None,
    ) -> Tensor:
        """Computes the light on faces, by which `forward` multiplies their colours.

        Args:
            face_vertices: [B, F, 3, 3] corners in world coordinates; B may be 1 for many eyes.
            eye: [B, 3] the positions of the eyes in world coordinates; they are read when
                `two_sided`.
            direction: The world vectors towards the lights, of any length > 0; used instead of the
                constructor's, and there is a gradient to them. [B, 3], or one (3) for all, for the
                main light; [B, L, 3] for all L lights. Where a face turns its back to a light that
                gradient is 0.
            normals: The unit normals, as for `forward`.

        Returns:
            [B, F, K, C] intensities. K is 1 on flat faces; C is 1 for white light, else 3; B is 1
            when there is one mesh and the eyes do not matter.

        Raises:
            ValueError: If shapes disagree, a direction is bad, or `eye` is missing.
        """
        flat = face_normals(face_vertices)
        towards = self._towards(direction, len(flat))
        surface = flat[:, :, None] if self.normals == "face" or normals is None else normals
        ambient, strengths = self.ambient_light.to(flat.dtype), self.strengths.to(flat.dtype)
        away = _turn_away(flat, face_vertices, eye)[..., None] if self.two_sided else None
        total = ambient
        for unit, strength in zip(towards, strengths, strict=True):
            cosine = (surface * unit.to(flat.dtype)).sum(-1)
            if away is not None:
                cosine = torch.where(away, -cosine, cosine)
            total = total + strength * cosine.clamp(min=0)[..., None]
        return total

    def intensity(
        self,
        face_vertices: Tensor,
        eye: Tensor | None = None,
        direction: Tensor | None = None,
    ) -> Tensor:
        """Computes how bright white lights are on flat faces, one number for each.

        Args:
            face_vertices, eye, direction: The arguments of the same names of `light`.

        Returns:
            [B, F] intensities; B is 1 when there is one mesh and the eyes do not matter.

        Raises:
            ValueError: If `light` raises it, a light has a colour, or normals are those of
                vertices.
        """
        if not self.white or self.normals != "face":
            raise ValueError('one number per face needs white light and normals="face"')
        return self.light(face_vertices, eye, direction)[:, :, 0, 0]

    def _towards(self, direction: Tensor | None, batch: int) -> list[Tensor]:
        """Returns for each light its unit vectors, which go with normals [B, F, K, 3]."""
        directions = list(self.directions)
        if direction is None:
            return directions
        if direction.dim() == 3:
            if direction.shape[1] != len(directions):
                raise ValueError(
                    f"direction must be [B, {len(directions)}, 3], got {list(direction.shape)}"
                )
            return [_unit(one, batch) for one in direction.unbind(1)]
        return [_unit(direction, batch), *directions[1:]]


def _unit(direction: Tensor, batch: int) -> Tensor:
    """Returns unit vectors [N, 1, 1, 3], or one [3] for all; N is `batch`, or any if that is 1."""
    shape = direction.shape
    if shape != (3,) and not (len(shape) == 2 and shape[1] == 3 and batch in (1, shape[0])):
        raise ValueError(f"direction must be [3] or [{batch}, 3], got {list(shape)}")
    length = direction.norm(dim=-1, keepdim=True)
    if not bool((torch.isfinite(length) & (length > 0)).all()):
        raise ValueError(f"direction must be finite and > 0, got {direction.tolist()}")
    unit = direction / length
    return unit[:, None, None] if unit.dim() == 2 else unit


def _require_intensity(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be finite and >= 0, got {value}")


def _require_color(name: str, value: Sequence[float]) -> None:
    if len(value) != 3 or not all(math.isfinite(part) and part >= 0 for part in value):
        raise ValueError(f"{name} must be 3 finite numbers >= 0, got {tuple(value)}")


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
        ValueError: If shapes disagree, or `eye` is missing.
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
