"""What the opacities of mesh files mean.

Exporters disagree: the alpha channel of a texture may hold gloss, `Tr` may mean opacity or its
opposite, and a colour may end in 0 because nobody set it. The rules here never make a whole model
vanish, nor a solid a sieve, and name what they did where the file says something else.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recon.formats.meshes.reading.textured_mesh import MIN_ALPHA, MeshWarning, TexturedMesh

# The alpha channel of a texture is its opacity, means nothing, or is opacity if it looks like it.
Opacity = Literal["alpha", "none", "guess"]
# A cut-out is made of clear and of opaque texels but for soft borders between the two.
CLEAR, SOLID = 16, 239
MOSTLY, SOME = 0.9, 0.005
# What says how opaque a face is, by the suffix of the file, for messages.
GLTF = "alpha of its materials, colours or textures"
OPACITY_WORDS = {
    ".obj": "Tr / d, map_d or the alpha channel of map_Kd",
    ".ply": "alpha of its colours",
    ".off": "alpha of its colours",
    ".glb": GLTF,
    ".gltf": GLTF,
    ".ac": "trans of its materials or alpha of its textures",
    ".acc": "trans of its materials or alpha of its textures",
}


def is_cutout(alpha: NDArray[np.uint8]) -> bool:
    """Tells whether an alpha channel [H, W] cuts a shape out of an image.

    Nearly all of it is clear or solid, with a share of both.
    """
    clear, solid = float((alpha <= CLEAR).mean()), float((alpha >= SOLID).mean())
    return clear >= SOME and solid >= SOME and clear + solid >= MOSTLY


def is_opacity(alpha: NDArray[np.uint8], meaning: Opacity, name: str) -> bool:
    """Tells whether the alpha channel of a texture is to be taken for its opacity.

    Args:
        alpha: [H, W], the alpha channel.
        meaning: What the alpha channel means by the material.
        name: The name of the image, for the warning if its opacity is left out.
    """
    if meaning != "guess":
        return meaning == "alpha"
    cutout = is_cutout(alpha)
    if not cutout and alpha.min() < SOLID:
        words = f"the alpha channel of {name} is not taken for opacity: no map_d or d < 1 asks for"
        warnings.warn(f"{words} it, and it is no cut-out", MeshWarning, stacklevel=2)
    return cutout


def combine_opacity(
    image: NDArray[np.float32],
    mask: NDArray[np.float32] | None,
    cutoff: float | None,
    factor: float,
) -> NDArray[np.float32]:
    """Returns an image with the opacity that it is to be drawn with.

    Args:
        image: [H, W, 4] RGBA in [0, 1].
        mask: [h, w] the opacity that another image gives, or None.
        cutoff: The opacity from which on texels are solid, and under which they are holes; None
            keeps opacities in between.
        factor: The opacity of the material, which is applied before the cutoff.
    """
    alpha = image[..., 3]
    if mask is not None:
        alpha = alpha * _resampled(mask, *alpha.shape)
    if cutoff is not None:
        alpha = (alpha * factor >= cutoff).astype(np.float32)
    return np.concatenate([image[..., :3], alpha[..., None]], axis=-1)


def _resampled(mask: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Returns a mask at another size, each texel the one of the mask at its middle."""
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(int)
    return mask[rows[:, None], columns]


def ensure_visible(mesh: TexturedMesh, suffix: str) -> TexturedMesh:
    """Returns the mesh; if none of its faces could be seen, it becomes opaque, with a warning.

    Holes that a file asks for (`TexturedMesh.cut`) stay holes.

    Args:
        mesh: The mesh that a file holds.
        suffix: The suffix of the file, in small letters.
    """
    if not mesh.num_faces or mesh.cut or (mesh.face_rgba[:, 3] > MIN_ALPHA).any():
        return mesh
    words = OPACITY_WORDS.get(suffix, "its opacity")
    warnings.warn(
        f"every face would be invisible by {words}: drawn opaque", MeshWarning, stacklevel=2
    )
    return mesh.opaque()
