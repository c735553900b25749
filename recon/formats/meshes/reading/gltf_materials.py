"""Base colours of glTF 2.0: linear factors and vertex colours, sRGB textures."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.formats.meshes.reading.gltf_container import Container, as_object, pick
from recon.formats.meshes.reading.materials import MAX_PIXELS, Material, Paint, paint_faces


@dataclass(frozen=True, eq=False)
class BaseColor:
    """What a material says of the colour of a surface without lights.

    Attributes:
        factor: [4] linear red, green, blue and opacity.
        opaque: whether opacity is to be ignored.
        image: row of the document's images, None without a texture.
        texture_set: which coordinates the texture uses: attribute TEXCOORD_n.
        scale, offset: of texture coordinates (the extension KHR_texture_transform).
    """

    factor: NDArray[np.float64]
    opaque: bool = True
    image: int | None = None
    texture_set: int = 0
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


def base_color(container: Container, material: Any) -> BaseColor:
    """Return the base colour of a material.

    Args:
        container: the document.
        material: row of its materials, None for the default material, which is white.

    Raises:
        ValueError: if the material is malformed.
    """
    if material is None:
        return BaseColor(np.ones(4))
    item = as_object(pick(container.items("materials"), material, "material"))
    extensions = as_object(item.get("extensions", {}))
    old = extensions.get("KHR_materials_pbrSpecularGlossiness")
    if old is not None:
        words, prefix = as_object(old), "diffuse"
    else:
        words, prefix = as_object(item.get("pbrMetallicRoughness", {})), "baseColor"
    factor = np.array(words.get(prefix + "Factor", [1, 1, 1, 1]), np.float64)
    if factor.shape != (4,) or not np.isfinite(factor).all():
        raise ValueError(f"a colour factor needs 4 numbers, got {words[prefix + 'Factor']}")
    opaque = item.get("alphaMode", "OPAQUE") == "OPAQUE"
    texture = words.get(prefix + "Texture")
    if texture is None:
        return BaseColor(factor, opaque)
    return _textured(container, factor, opaque, as_object(texture))


def _textured(
    container: Container, factor: NDArray[np.float64], opaque: bool, info: dict[str, Any]
) -> BaseColor:
    texture = as_object(pick(container.items("textures"), info["index"], "texture"))
    webp = as_object(texture.get("extensions", {})).get("EXT_texture_webp", {})
    place = as_object(info.get("extensions", {})).get("KHR_texture_transform", {})
    scale_u, scale_v = place.get("scale", (1.0, 1.0))
    offset_u, offset_v = place.get("offset", (0.0, 0.0))
    return BaseColor(
        factor,
        opaque,
        image=webp.get("source", texture.get("source")),
        texture_set=int(place.get("texCoord", info.get("texCoord", 0))),
        scale=(float(scale_u), float(scale_v)),
        offset=(float(offset_u), float(offset_v)),
    )


def paint_triangles(
    container: Container,
    color: BaseColor,
    linear: NDArray[np.float64],
    uvs: NDArray[np.float64] | None,
) -> Paint:
    """Return the colours and textures of triangles of one material.

    Args:
        container: the document.
        color: the material's base colour.
        linear: [F, 4] the means of the triangles' vertex colours, linear.
        uvs: [F, 3, 2] texture coordinates as in the document (v downwards), None without a texture.
    """
    factors = linear * color.factor
    if color.opaque:
        factors[:, 3] = 1
    if uvs is None or color.image is None or not len(linear):
        rgba = to_srgb(factors).astype(np.float32)
        return Paint(face_rgba=rgba, uvs=None, face_texture=None, textures=())
    placed = uvs * color.scale + color.offset
    placed[..., 1] = 1 - placed[..., 1]
    # Products of sRGB values stand for those of linear light: the same for a pure power law.
    red, green, blue, alpha = to_srgb(factors.mean(axis=0)).tolist()
    material = Material(color=(red, green, blue), alpha=alpha, texture=str(color.image))
    images = _Images(container, color.opaque)
    return paint_faces(images, [material], np.zeros(len(linear), np.int64), placed)


def to_srgb(rgba: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return linear colours [..., 4] as sRGB in [0, 1], opacity as it is (IEC 61966-2-1)."""
    clipped = np.clip(np.nan_to_num(rgba, nan=1), 0, 1)
    linear = clipped[..., :3]
    # The power of a number under the threshold is not used; the floor keeps it defined.
    curve = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, curve)
    return np.concatenate([srgb, clipped[..., 3:]], axis=-1)


class _Images:
    """The images of a document as a store of files; a name is the row of an image."""

    def __init__(self, container: Container, opaque: bool) -> None:
        self.label = "embedded images"
        self._container, self._opaque = container, opaque

    def find(self, name: str) -> str | None:
        return name

    def find_leaf(self, leaf: str) -> str | None:
        return leaf

    def read(self, name: str) -> bytes:
        """Return the bytes of an image, without the opacity that an opaque material ignores."""
        try:
            data = self._container.image(int(name))
        except (KeyError, TypeError) as error:
            raise ValueError(f"image {name} is malformed: {error}") from error
        if not self._opaque:
            return data
        with Image.open(io.BytesIO(data)) as image:
            if image.mode in ("RGB", "L") or image.width * image.height > MAX_PIXELS:
                return data
            opaque = io.BytesIO()
            image.convert("RGB").save(opaque, "BMP")  # the quickest to write
        return opaque.getvalue()
