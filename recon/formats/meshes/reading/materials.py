"""Materials of mesh files, and the colours and textures they give to faces."""

from __future__ import annotations

import io
import posixpath
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.formats.stores import Store

DEFAULT_COLOR = (0.7, 0.7, 0.7)
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tga", ".pcx")
# Textures are read at this size: an image of 64 pixels shows no finer detail, and hundreds of them
# fit into memory.
TEXTURE_SIZE = 512
# More pixels than any sane texture has; a header may claim them without the file holding them.
MAX_PIXELS = 1 << 26
# A face with more repetitions of its texture shows their mean; more is an exporter's mistake.
MAX_REPEATS = 1000.0
# Beyond, a texture coordinate is nonsense, and sums of some could overflow.
FARTHEST_UV = 1e9
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
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are too many")
            image.draft("RGB", (TEXTURE_SIZE, TEXTURE_SIZE))  # JPEG decodes at a fraction
            has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
            converted = image.convert("RGBA" if has_alpha else "RGB")
        converted.thumbnail((TEXTURE_SIZE, TEXTURE_SIZE))
        pixels = np.asarray(converted.convert("RGBA")) / np.float32(255)
        if not pixels[..., 3].any():
            pixels[..., 3] = 1  # a channel which its program did not use, not an invisible texture
        return pixels
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        warnings.warn(f"{store.label}: texture {name} is unreadable: {error}", stacklevel=2)
        return None


class Paint(TypedDict):
    """The fields of a `Surface` which materials decide."""

    face_rgba: NDArray[np.float32]
    uvs: NDArray[np.float32] | None
    face_texture: NDArray[np.int64] | None
    textures: tuple[NDArray[np.uint8], ...]


def paint_faces(
    store: Store,
    materials: Sequence[Material],
    face_materials: NDArray[np.int64],
    uvs: NDArray[np.float64],
) -> Paint:
    """Return colours and textures of faces, to be passed on to `Surface` as `**paint_faces(...)`.

    Args:
        store: where textures are.
        materials: the file's materials.
        face_materials: [F] rows of `materials`.
        uvs: [F, 3, 2] texture coordinates, v upwards; NaN where a face has none.
    """
    table = np.array([(*m.color, m.alpha) for m in materials], np.float32).reshape(-1, 4)
    rgba = np.clip(np.nan_to_num(table[face_materials], nan=0.7), 0, 1)
    face_texture = np.full(len(rgba), -1, np.int64)
    palette = _Palette(store)
    usable = np.all(np.abs(uvs) < FARTHEST_UV, axis=(1, 2))  # false for NaN
    uvs = np.where(usable[:, None, None], uvs, np.nan)
    for index in np.unique(face_materials):
        material = materials[index]
        members = np.flatnonzero((face_materials == index) & usable)
        texture = palette.load(material.texture) if len(members) else None
        if texture is None:
            continue
        if max(material.color) <= UNSET_DIFFUSE:
            rgba[members, :3] = 1
        face_texture[members] = palette.add(material.texture, texture, rgba[members[0], :3])
        rgba[members] *= sample_faces(texture, uvs[members])
    # Whole repetitions do not matter, and near 0 float32 tells all texels apart.
    wrapped = uvs - np.floor(uvs.min(axis=1, keepdims=True))
    face_texture[(np.ptp(wrapped, axis=1) > MAX_REPEATS).any(axis=1)] = -1
    if not (face_texture >= 0).any():
        return Paint(face_rgba=rgba, uvs=None, face_texture=None, textures=())
    wrapped[face_texture < 0] = np.nan
    return Paint(
        face_rgba=rgba,
        uvs=wrapped.astype(np.float32),
        face_texture=face_texture,
        textures=tuple(palette.textures),
    )


class _Palette:
    """The textures of a surface, each read once and kept once per colour it is multiplied by."""

    def __init__(self, store: Store) -> None:
        self.textures: list[NDArray[np.uint8]] = []
        self._store = store
        self._loaded: dict[str, NDArray[np.float32] | None] = {}
        self._rows: dict[tuple[str | None, bytes], int] = {}

    def load(self, name: str | None) -> NDArray[np.float32] | None:
        """Return the image `name`; None if there is none or it is unreadable."""
        if name is None:
            return None
        if name not in self._loaded:
            self._loaded[name] = load_texture(self._store, name)
        return self._loaded[name]

    def add(self, name: str | None, texture: NDArray[np.float32], tint: NDArray[np.float32]) -> int:
        """Return the row of `textures` which holds the image `name` times a colour."""
        row = self._rows.setdefault((name, tint.tobytes()), len(self.textures))
        if row == len(self.textures):
            self.textures.append(tinted(texture, tint))
        return row


def tinted(texture: NDArray[np.float32], tint: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a texture [H, W, 4] in [0, 1] times an RGB colour, as a `Surface` keeps it.

    Texels without any opacity, whose colour means nothing, get the mean colour of the others.
    """
    pixels = texture * np.append(tint, np.float32(1))
    opacity = texture[..., 3]
    total = opacity.sum()
    clear = opacity == 0
    if total > 0 and clear.any():
        pixels[clear, :3] = np.einsum("hwc,hw->c", pixels[..., :3], opacity) / total
    pixels *= 255
    pixels += 0.5  # rounds, as the conversion cuts off
    return pixels.astype(np.uint8)


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
