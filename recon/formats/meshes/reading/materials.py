"""Materials of mesh files, and the colours and textures they give to faces."""

from __future__ import annotations

import posixpath
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from recon.formats.meshes.reading.opacity import Opacity, combine_opacity, is_opacity
from recon.formats.meshes.reading.textured_mesh import (
    CLAMP,
    MIN_ALPHA,
    REPEAT,
    MeshWarning,
)
from recon.formats.meshes.reading.textures import load_texture, read_opacity, wrap_coordinates
from recon.formats.stores import Store

DEFAULT_COLOR = (0.7, 0.7, 0.7)
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tga", ".pcx")
# A face with more repetitions of its texture shows their mean; more is an exporter's mistake.
MAX_REPEATS = 1000.0
# Beyond, a texture coordinate is nonsense, and sums of some could overflow.
FARTHEST_UV = 1e9
# A diffuse colour darker than this under a texture is an exporter's "no colour", not a shade.
UNSET_DIFFUSE = 0.05
# A guess that an alpha channel is opacity may hide this share of faces as a whole.
MOST_HIDDEN = 0.25
# Where the texture is sampled on each face: its centre, towards its corners, and its edges.
SAMPLES = np.array(
    [[1, 1, 1], [3, 1, 1], [1, 3, 1], [1, 1, 3], [4.5, 4.5, 1], [4.5, 1, 4.5], [1, 4.5, 4.5]]
)
SAMPLES /= SAMPLES.sum(axis=1, keepdims=True)
# The same more densely, for faces which may only seem to lie in a hole: the centres of the cells of
# a triangle cut into 16 x 16.
_CELLS = np.array([(i, j) for i in range(16) for j in range(16 - i)], np.float64)
DENSE_SAMPLES = np.stack([_CELLS[:, 0], _CELLS[:, 1], 15 - _CELLS.sum(axis=1)], axis=1) + 1 / 3
DENSE_SAMPLES /= 16


class UvTransform(NamedTuple):
    """Where a texture lies: (u, v) becomes matrix @ (u, v) + shift, v upwards."""

    matrix: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 0.0), (0.0, 1.0))
    shift: tuple[float, float] = (0.0, 0.0)


AS_GIVEN = UvTransform()


@dataclass(frozen=True)
class Material:
    """A plain or textured material.

    Attributes:
        name: Its name in the file.
        color: The diffuse colour, sRGB in [0, 1].
        alpha: The opacity in [0, 1].
        texture: The name of the texture image in the store, or None.
        mask: The name of an image that holds the opacity (of an OBJ's `map_d`), or None.
        opacity: What the alpha channel of the texture means.
        cutoff: The opacity under which there is a hole and from which on there is none; None keeps
            the opacities in between.
        transform: The transform of texture coordinates.
        wrap: How the texture continues beyond its sides, along u and v: REPEAT, CLAMP or MIRROR.
        gain: The two numbers by which colours of the texture become gain[0] + gain[1] * colour.
        missing: The files it names that do not exist, in words for a message.
    """

    name: str = ""
    color: tuple[float, float, float] = DEFAULT_COLOR
    alpha: float = 1.0
    texture: str | None = None
    mask: str | None = None
    opacity: Opacity = "alpha"
    cutoff: float | None = None
    transform: UvTransform = AS_GIVEN
    wrap: tuple[int, int] = (REPEAT, REPEAT)
    gain: tuple[float, float] = (0.0, 1.0)
    missing: tuple[str, ...] = ()

    def rgba(self) -> tuple[float, float, float, float]:
        """Returns colour and opacity of a face without a texture."""
        solid = self.alpha if self.cutoff is None else float(self.alpha >= self.cutoff)
        return (*self.color, solid)


def find_image(store: Store, stems: Sequence[str], suffixes: Sequence[str]) -> str | None:
    """Returns the first stored image among `stems`, each tried with every suffix in order."""
    for stem in stems:
        root, suffix = posixpath.splitext(stem)
        base = root if suffix.lower() in IMAGE_SUFFIXES else stem
        for candidate in suffixes:
            found = store.find(base + candidate)
            if found is not None:
                return found
    return None


class Paint(TypedDict):
    """The fields of a `TexturedMesh` which materials decide."""

    face_rgba: NDArray[np.float32]
    uvs: NDArray[np.float32] | None
    face_texture: NDArray[np.int64] | None
    textures: tuple[NDArray[np.uint8], ...]
    texture_wraps: tuple[tuple[int, int], ...]


def plain_paint(rgba: NDArray[np.float32]) -> Paint:
    """Returns the paint of faces which have colours [F, 4] and no textures."""
    return Paint(face_rgba=rgba, uvs=None, face_texture=None, textures=(), texture_wraps=())


def paint_faces(
    store: Store,
    materials: Sequence[Material],
    face_materials: NDArray[np.int64],
    uvs: NDArray[np.float64],
) -> Paint:
    """Returns colours and textures of faces, as arguments of `TexturedMesh`.

    Args:
        store: The store that has the textures.
        materials: The file's materials.
        face_materials: [F] the row of each face in `materials`.
        uvs: [F, 3, 2] texture coordinates, v upwards; NaN where a face has none.
    """
    table = np.array([m.rgba() for m in materials], np.float32).reshape(-1, 4)
    rgba = np.clip(np.nan_to_num(table[face_materials], nan=0.7), 0, 1)
    face_texture = np.full(len(rgba), -1, np.int64)
    palette = _Palette(store)
    usable = np.all(np.abs(uvs) < FARTHEST_UV, axis=(1, 2))  # false for NaN
    uvs = np.where(usable[:, None, None], uvs, np.nan)
    for index in np.unique(face_materials):
        material = materials[index]
        for words in material.missing:
            warnings.warn(words, MeshWarning, stacklevel=2)
        members = np.flatnonzero((face_materials == index) & usable)
        image = palette.load(material) if len(members) else None
        if image is None:
            continue
        if material.transform != AS_GIVEN:
            matrix, shift = material.transform
            uvs[members] = uvs[members] @ np.array(matrix).T + shift
        if material.texture is not None and max(material.color) <= UNSET_DIFFUSE:
            rgba[members, :3] = 1
        if material.cutoff is not None:
            rgba[members, 3] = 1  # counted in the texture's opacity already
        image, sampled = _visible(material, image, uvs[members])
        face_texture[members] = palette.add(material, image, rgba[members[0], :3])
        rgba[members] *= sampled
    return _paint(rgba, uvs, face_texture, palette)


def _visible(
    material: Material, image: NDArray[np.float32], uvs: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns a material's image and its colours on faces; opaque if a guess would hide many faces.

    The holes of a cut-out lie within faces; gloss and the like care for no faces.
    """
    sampled = _sample(image, uvs, material.wrap)
    if material.opacity != "guess" or (sampled[:, 3] <= MIN_ALPHA).mean() <= MOST_HIDDEN:
        return image, sampled
    words = f"the alpha channel of {material.texture} is not taken for opacity: it would hide"
    share = f"{100 * (sampled[:, 3] <= MIN_ALPHA).mean():.0f} % of its faces"
    warnings.warn(f"{words} {share}", MeshWarning, stacklevel=3)
    opaque = np.concatenate([image[..., :3], np.ones_like(image[..., 3:])], axis=-1)
    return opaque, _sample(opaque, uvs, material.wrap)


def _paint(
    rgba: NDArray[np.float32],
    uvs: NDArray[np.float64],
    face_texture: NDArray[np.int64],
    palette: _Palette,
) -> Paint:
    """Returns the paint, with coordinates near 0 and without textures that repeat too often."""
    wraps = np.array([*palette.wraps, (REPEAT, REPEAT)])[face_texture]  # the last for none
    low = uvs.min(axis=1, keepdims=True)
    # Whole repetitions do not matter, and near 0 float32 tells all texels apart.
    period = np.array([1, np.inf, 2])[wraps][:, None]
    starts = np.where(np.isfinite(period), np.floor(low / period) * np.minimum(period, 2), 0)
    near = uvs - starts
    repeats = (np.ptp(near, axis=1) > MAX_REPEATS) & (wraps != CLAMP)
    face_texture[repeats.any(axis=1)] = -1
    if not (face_texture >= 0).any():
        return plain_paint(rgba)
    near[face_texture < 0] = np.nan
    return Paint(
        face_rgba=rgba,
        uvs=near.astype(np.float32),
        face_texture=face_texture,
        textures=tuple(palette.textures),
        texture_wraps=tuple(palette.wraps) if np.any(palette.wraps) else (),
    )


class _Palette:
    """The textures of a mesh, each read once and kept once per colour it is multiplied by."""

    def __init__(self, store: Store) -> None:
        self.textures: list[NDArray[np.uint8]] = []
        self.wraps: list[tuple[int, int]] = []
        self._store = store
        self._kept: list[NDArray[np.float32]] = []
        self._loaded: dict[Material, NDArray[np.float32] | None] = {}
        self._rows: dict[tuple[int, tuple[int, int], bytes], int] = {}

    def load(self, material: Material) -> NDArray[np.float32] | None:
        """Returns colour and opacity [H, W, 4] of a material's images; None without a readable one.

        Materials which differ only in their names, colours and places share them.
        """
        key = Material(
            texture=material.texture,
            mask=material.mask,
            opacity=material.opacity,
            cutoff=material.cutoff,
            alpha=1.0 if material.cutoff is None else material.alpha,
            gain=material.gain,
        )
        if key not in self._loaded:
            self._loaded[key] = self._composed(key)
        return self._loaded[key]

    def _composed(self, material: Material) -> NDArray[np.float32] | None:
        image = mask = None
        if material.texture is not None:
            meant, name = material.opacity, material.texture
            image = load_texture(self._store, name, lambda alpha: is_opacity(alpha, meant, name))
        if material.mask is not None:
            mask = read_opacity(self._store, material.mask)
        if image is None and mask is None:
            return None
        if image is None:
            assert mask is not None
            image = np.ones((*mask.shape, 4), np.float32)
        elif material.gain != (0.0, 1.0):
            base, factor = material.gain
            image[..., :3] = (image[..., :3] * factor + base).clip(0, 1)
        return combine_opacity(image, mask, material.cutoff, material.alpha)

    def add(self, material: Material, image: NDArray[np.float32], tint: NDArray[np.float32]) -> int:
        """Returns the row of `textures` which holds an image of `load` times a colour."""
        key = (id(image), material.wrap, tint.tobytes())
        row = self._rows.setdefault(key, len(self.textures))
        if row == len(self.textures):
            self._kept.append(image)  # as long as it lives no other one has its id
            self.textures.append(tinted(image, tint))
            self.wraps.append(material.wrap)
        return row


def tinted(texture: NDArray[np.float32], tint: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns a texture [H, W, 4] in [0, 1] times an RGB colour, as a `TexturedMesh` keeps it.

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


def _sample(
    texture: NDArray[np.float32], uvs: NDArray[np.float64], wrap: tuple[int, int]
) -> NDArray[np.float32]:
    """Returns the mean colours [F, 4] of faces, looking closer at those that seem to be holes."""
    sampled = sample_faces(texture, uvs, wrap)
    faint = np.flatnonzero(sampled[:, 3] <= MIN_ALPHA)
    if len(faint) and (texture[..., 3] > MIN_ALPHA).any():
        closer = sample_faces(texture, uvs[faint], wrap, DENSE_SAMPLES)
        sampled[faint] = np.where(closer[:, 3:] > sampled[faint, 3:], closer, sampled[faint])
    return sampled


def sample_faces(
    texture: NDArray[np.float32],
    uvs: NDArray[np.float64],
    wrap: tuple[int, int] = (REPEAT, REPEAT),
    samples: NDArray[np.float64] = SAMPLES,
) -> NDArray[np.float32]:
    """Returns the mean colour of a texture over each face, weighted by opacity.

    Args:
        texture: [H, W, 4] RGBA in [0, 1], row 0 at v = 1.
        uvs: [F, 3, 2] finite texture coordinates.
        wrap: How the texture continues beyond its sides, along u and v.
        samples: [S, 3] barycentric weights of the places to look at.

    Returns:
        [F, 4] RGBA.
    """
    points = np.einsum("sk,fkc->fsc", samples, uvs)
    u, v = (wrap_coordinates(points[..., axis], wrap[axis]) for axis in (0, 1))
    height, width = texture.shape[:2]
    rows = np.minimum(((1 - v) * height).astype(int), height - 1)
    columns = np.minimum((u * width).astype(int), width - 1)
    pixels = texture[rows, columns]
    weights = pixels[..., 3:]
    total = weights.sum(axis=1)
    # 1e-6 only keeps 0/0 away: where nothing is opaque the plain mean is taken instead.
    opaque = (pixels[..., :3] * weights).sum(axis=1) / np.maximum(total, 1e-6)
    rgb = np.where(total > 1e-3, opaque, pixels[..., :3].mean(axis=1))
    return np.concatenate([rgb, weights.mean(axis=1)], axis=1)
