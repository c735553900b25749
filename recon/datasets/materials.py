"""Materials of mesh files and the one colour per face they give."""

from __future__ import annotations

import io
import posixpath
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.datasets.stores import Store

DEFAULT_COLOR = (0.7, 0.7, 0.7)
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tga", ".pcx")
# Textures are read at this size: a face gets one colour, so finer detail is lost anyway.
TEXTURE_SIZE = 512
# A diffuse colour darker than this under a texture is an exporter's "no colour", not a shade.
UNSET_DIFFUSE = 0.05
# Where the texture is sampled on each face: its centre, towards its corners, and its edges.
SAMPLES = np.array(
    [[1, 1, 1], [3, 1, 1], [1, 3, 1], [1, 1, 3], [4.5, 4.5, 1], [4.5, 1, 4.5], [1, 4.5, 4.5]]
)
SAMPLES /= SAMPLES.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Material:
    """A plain or textured material.

    Attributes:
        name: its name in the file.
        color: diffuse sRGB in [0, 1].
        alpha: opacity in [0, 1].
        texture: name of the texture image in the store, or None.
    """

    name: str = ""
    color: tuple[float, float, float] = DEFAULT_COLOR
    alpha: float = 1.0
    texture: str | None = None


def find_image(store: Store, stems: Sequence[str], suffixes: Sequence[str]) -> str | None:
    """Return the first stored image among `stems`, each tried with every suffix in order."""
    for stem in stems:
        root, suffix = posixpath.splitext(stem)
        base = root if suffix.lower() in IMAGE_SUFFIXES else stem
        for candidate in suffixes:
            found = store.find(base + candidate)
            if found is not None:
                return found
    return None


def load_texture(store: Store, name: str) -> NDArray[np.float32] | None:
    """Return the image as [H, W, 4] RGBA in [0, 1], at most 512 wide or high; None if unreadable.

    A texture is decoration: a damaged one leaves the plain colour, with a warning.
    """
    try:
        with Image.open(io.BytesIO(store.read(name))) as image:
            image.draft("RGB", (TEXTURE_SIZE, TEXTURE_SIZE))  # JPEG decodes at a fraction
            has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
            converted = image.convert("RGBA" if has_alpha else "RGB")
        converted.thumbnail((TEXTURE_SIZE, TEXTURE_SIZE))
        return (np.asarray(converted.convert("RGBA")) / np.float32(255)).astype(np.float32)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        warnings.warn(f"{store.label}: texture {name} is unreadable: {error}", stacklevel=2)
        return None


def face_colors(
    store: Store,
    materials: Sequence[Material],
    face_materials: NDArray[np.int64],
    uvs: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Return one colour per face from its material and its texture.

    Args:
        store: where textures are.
        materials: the file's materials.
        face_materials: [F] rows of `materials`.
        uvs: [F, 3, 2] texture coordinates, v upwards; NaN where a face has none.

    Returns:
        [F, 4] float32 RGBA.
    """
    table = np.array([(*m.color, m.alpha) for m in materials], np.float32).reshape(-1, 4)
    rgba = np.clip(np.nan_to_num(table[face_materials], nan=0.7), 0, 1)
    textures: dict[str, NDArray[np.float32] | None] = {}
    for index in np.unique(face_materials):
        material = materials[index]
        if material.texture is None:
            continue
        if material.texture not in textures:
            textures[material.texture] = load_texture(store, material.texture)
        texture = textures[material.texture]
        members = np.flatnonzero(face_materials == index)
        members = members[np.isfinite(uvs[members]).all(axis=(1, 2))]
        if texture is not None and len(members):
            if max(material.color) <= UNSET_DIFFUSE:
                rgba[members, :3] = 1
            rgba[members] *= sample_faces(texture, uvs[members])
    return rgba


def sample_faces(texture: NDArray[np.float32], uvs: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the mean colour of a repeating texture over each face, weighted by opacity.

    Args:
        texture: [H, W, 4] RGBA in [0, 1], row 0 at v = 1.
        uvs: [F, 3, 2] finite texture coordinates.

    Returns:
        [F, 4] RGBA.
    """
    points = np.einsum("sk,fkc->fsc", SAMPLES, uvs)
    points -= np.floor(points)
    height, width = texture.shape[:2]
    rows = np.minimum(((1 - points[..., 1]) * height).astype(int), height - 1)
    columns = np.minimum((points[..., 0] * width).astype(int), width - 1)
    pixels = texture[rows, columns]
    weights = pixels[..., 3:]
    total = weights.sum(axis=1)
    # 1e-6 only keeps 0/0 away: where nothing is opaque the plain mean is taken instead.
    opaque = (pixels[..., :3] * weights).sum(axis=1) / np.maximum(total, 1e-6)
    rgb = np.where(total > 1e-3, opaque, pixels[..., :3].mean(axis=1))
    return np.concatenate([rgb, weights.mean(axis=1)], axis=1)
