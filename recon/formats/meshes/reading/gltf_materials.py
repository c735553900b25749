"""Base colours of glTF 2.0: linear factors and vertex colours, sRGB textures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.formats.meshes.reading.gltf_container import Container, as_object, extension, pick
from recon.formats.meshes.reading.materials import (
    AS_GIVEN,
    Material,
    Paint,
    UvTransform,
    paint_faces,
    plain_paint,
)
from recon.formats.meshes.reading.textured_mesh import CLAMP, MIRROR, REPEAT

WRAPS = {33071: CLAMP, 33648: MIRROR, 10497: REPEAT}
# A base colour up to this is black: the light that such a material gives off is its colour.
BLACK = 1e-3


@dataclass(frozen=True, eq=False)
class BaseColor:
    """The base colour of a material, without lights.

    Attributes:
        factor: [4] the linear red, green, blue and opacity.
        name: The name of the material, for messages.
        mode: "OPAQUE", "MASK" or "BLEND": how opacity counts.
        cutoff: The opacity from which on a surface of mode "MASK" is solid.
        texture: The texture of the colour, None without one.
    """

    factor: NDArray[np.float64]
    name: str = ""
    mode: str = "OPAQUE"
    cutoff: float = 0.5
    texture: TextureInfo | None = None


@dataclass(frozen=True)
class TextureInfo:
    """A texture and where it lies.

    Attributes:
        image: The row of the image among those of the document, None if no image is named.
        texture_set: The number n of the attribute TEXCOORD_n that has the texture's coordinates.
        transform: The transform of these coordinates, as stored in the document (v downwards).
        wrap: How the image continues beyond its sides, along u and v.
    """

    image: int | None
    texture_set: int = 0
    transform: UvTransform = AS_GIVEN
    wrap: tuple[int, int] = (REPEAT, REPEAT)


def base_color(container: Container, material: Any) -> BaseColor:
    """Returns the base colour of a material.

    A material which reflects nothing has the colour of the light that it gives off.

    Args:
        container: The glTF document.
        material: The row of the material among those of the document, None for the default
            material, which is white.

    Raises:
        ValueError: If the material is malformed.
    """
    if material is None:
        return BaseColor(np.ones(4))
    entry = as_object(pick(container.entries("materials"), material, "material"))
    if old := extension(entry, "KHR_materials_pbrSpecularGlossiness"):
        words, prefix = old, "diffuse"
    else:
        words, prefix = as_object(entry.get("pbrMetallicRoughness", {})), "baseColor"
    factor = _factor(words, prefix + "Factor", [1, 1, 1, 1])
    texture = words.get(prefix + "Texture")
    if texture is None and factor[:3].max() <= BLACK and "emissiveFactor" in entry:
        factor[:3] = _factor(entry, "emissiveFactor", [0, 0, 0])
        texture = entry.get("emissiveTexture")
    return BaseColor(
        factor,
        name=str(entry.get("name", f"material {material}")),
        mode=str(entry.get("alphaMode", "OPAQUE")),
        cutoff=float(entry.get("alphaCutoff", 0.5)),
        texture=None if texture is None else _texture_info(container, as_object(texture)),
    )


def _factor(words: dict[str, Any], key: str, default: list[float]) -> NDArray[np.float64]:
    factor = np.array(words.get(key, default), np.float64)
    if factor.shape != (len(default),) or not np.isfinite(factor).all():
        raise ValueError(f"a colour factor needs {len(default)} numbers, got {words[key]}")
    return factor


def _texture_info(container: Container, info: dict[str, Any]) -> TextureInfo:
    texture = as_object(pick(container.entries("textures"), info["index"], "texture"))
    # Extensions name images of other formats (WebP, Basis) in the place of the plain one.
    names = as_object(texture.get("extensions", {}), "an object `extensions`")
    others = [extension(texture, name) for name in names]
    images = [other["source"] for other in others if "source" in other]
    plain = [texture["source"]] if "source" in texture else []
    ranked = [*images, *plain] if "EXT_texture_webp" in names else [*plain, *images]
    place = extension(info, "KHR_texture_transform")
    sampler: dict[str, Any] = {}
    if "sampler" in texture:
        sampler = as_object(pick(container.entries("samplers"), texture["sampler"], "sampler"))
    return TextureInfo(
        image=ranked[0] if ranked else None,
        texture_set=int(place.get("texCoord", info.get("texCoord", 0))),
        transform=_transform(place),
        wrap=(_wrap(sampler.get("wrapS")), _wrap(sampler.get("wrapT"))),
    )


def _wrap(mode: Any) -> int:
    return WRAPS.get(mode, REPEAT) if isinstance(mode, int) else REPEAT


def _transform(place: dict[str, Any]) -> UvTransform:
    """Returns shift * rotation * scale, v downwards (the extension KHR_texture_transform).

    The rotation is counter-clockwise for an eye which sees v point down (glTF issue 1563).
    """
    try:
        scale = np.array(place.get("scale", [1, 1]), np.float64).reshape(2)
        shift = np.array(place.get("offset", [0, 0]), np.float64).reshape(2)
        angle = float(place.get("rotation", 0))
    except (TypeError, ValueError) as error:
        raise ValueError(f"KHR_texture_transform is malformed: {str(place)[:80]}") from error
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, sin], [-sin, cos]]) * scale
    if not np.isfinite([*matrix, shift]).all():
        raise ValueError(f"KHR_texture_transform must be finite, got {str(place)[:80]}")
    (a, b), (c, d) = matrix.tolist()
    return UvTransform(((a, b), (c, d)), (float(shift[0]), float(shift[1])))


def _upwards(transform: UvTransform) -> UvTransform:
    """Returns the same transform of coordinates whose v points upwards, v = 1 - v'."""
    ((a, b), (c, d)), (e, f) = transform
    return UvTransform(((a, -b), (-c, d)), (e + b, 1 - d - f))


def paint_triangles(
    container: Container,
    color: BaseColor,
    linear: NDArray[np.float64],
    uvs: NDArray[np.float64] | None,
) -> Paint:
    """Returns the colours and textures of triangles of one material.

    Args:
        container: The glTF document.
        color: The material's base colour.
        linear: [F, 4] the means of the triangles' vertex colours, linear.
        uvs: [F, 3, 2] texture coordinates as in the document (v downwards), None without a texture.
    """
    factors = linear * color.factor
    if color.mode == "OPAQUE":
        factors[:, 3] = 1
    if color.texture is not None and uvs is not None and len(linear):
        return _textured(container, color, color.texture, factors, uvs)
    if color.mode == "MASK":
        factors[:, 3] = factors[:, 3] >= color.cutoff
    return plain_paint(to_srgb(factors).astype(np.float32))


def _textured(
    container: Container,
    color: BaseColor,
    texture: TextureInfo,
    factors: NDArray[np.float64],
    uvs: NDArray[np.float64],
) -> Paint:
    """Returns the paint of triangles [F] with factors [F, 4] and coordinates [F, 3, 2]."""
    uvs = uvs.copy()
    uvs[..., 1] = 1 - uvs[..., 1]
    # Products of sRGB values stand for those of linear light: the same for a pure power law.
    red, green, blue, alpha = to_srgb(factors.mean(axis=0)).tolist()
    missing = _missing(container, color, texture)
    material = Material(
        name=color.name,
        color=(red, green, blue),
        alpha=alpha,
        texture=None if missing else str(texture.image),
        opacity="none" if color.mode == "OPAQUE" else "alpha",
        cutoff=color.cutoff if color.mode == "MASK" else None,
        transform=_upwards(texture.transform) if texture.transform != AS_GIVEN else AS_GIVEN,
        wrap=texture.wrap,
        missing=missing,
    )
    paint = paint_faces(_Images(container), [material], np.zeros(len(uvs), np.int64), uvs)
    if paint["face_texture"] is None and missing:
        paint["face_rgba"] = to_srgb(factors).astype(np.float32)
    return paint


def _missing(container: Container, color: BaseColor, texture: TextureInfo) -> tuple[str, ...]:
    """Returns what to say about a texture which is not there."""
    if texture.image is None:
        return (f"a texture of material {color.name} names no image",)
    file = container.missing_image(texture.image)
    return () if file is None else (f"no file {file} (of material {color.name})",)


def to_srgb(rgba: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns linear colours [..., 4] as sRGB in [0, 1], opacity as it is (IEC 61966-2-1)."""
    clipped = np.clip(np.nan_to_num(rgba, nan=1), 0, 1)
    linear = clipped[..., :3]
    # The power of a number under the threshold is not used; the floor keeps it defined.
    curve = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, curve)
    return np.concatenate([srgb, clipped[..., 3:]], axis=-1)


class _Images:
    """The images of a document as a store of files; a name is the row of an image."""

    def __init__(self, container: Container) -> None:
        self.label = "embedded images"
        self._container = container

    def find(self, name: str) -> str | None:
        return name

    def find_leaf(self, leaf: str) -> str | None:
        return leaf

    def read(self, name: str) -> bytes:
        """Returns the bytes of an image."""
        try:
            return self._container.image(int(name))
        except (KeyError, TypeError) as error:
            raise ValueError(f"image {name} is malformed: {error}") from error
