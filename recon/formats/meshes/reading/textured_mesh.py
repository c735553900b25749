"""The content of a mesh file: triangles with colours, textures and the names of its objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from recon.geometry.meshes import Mesh

# How a texture continues beyond its sides.
REPEAT, CLAMP, MIRROR = 0, 1, 2
# Faces and texels fainter than this are panes, glows and holes which an image hardly shows.
MIN_ALPHA = 0.05


class MeshWarning(UserWarning):
    """A warning of what was assumed about a mesh file that is ambiguous or lacks something."""


@dataclass(frozen=True, eq=False)
class TexturedMesh:
    """Coloured triangles, some of them textured, in a file's own frame.

    Attributes:
        vertices: [V, 3] float64.
        faces: [F, 3] int64 rows of `vertices`.
        face_rgba: [F, 4] float32 sRGB colour and opacity in [0, 1]; the mean of its texture where
            a face has one.
        face_objects: [F] int64 rows of `object_names`.
        object_names: The names of the file's objects (groups, sub-meshes).
        uvs: [F, 3, 2] float32 texture coordinates of the corners, u to the right and v upwards,
            NaN where a face has no texture; None if no face has one.
        face_texture: [F] int64 rows of `textures`, -1 where a face has none; None like `uvs`.
        textures: Images [H, W, 4] uint8 sRGB with opacity, row 0 at v = 1, already multiplied by
            the colour of the material.
        texture_wraps: How each texture continues beyond its sides, along u and along v: REPEAT,
            CLAMP or MIRROR; without any entry all repeat.
        cut: Whether the file itself says that parts of its surface are holes (glTF's MASK).

    Raises:
        ValueError: If shapes disagree, an index is out of range, or a used vertex is not finite.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    face_rgba: NDArray[np.float32]
    face_objects: NDArray[np.int64]
    object_names: tuple[str, ...] = ("",)
    uvs: NDArray[np.float32] | None = None
    face_texture: NDArray[np.int64] | None = None
    textures: tuple[NDArray[np.uint8], ...] = ()
    texture_wraps: tuple[tuple[int, int], ...] = ()
    cut: bool = False

    def __post_init__(self) -> None:
        if self.faces.size and (self.faces.min() < 0 or self.faces.max() >= len(self.vertices)):
            bad = self.faces.max() if self.faces.max() >= len(self.vertices) else self.faces.min()
            raise ValueError(
                f"a face names vertex {bad} (counted from 0) of {len(self.vertices)} vertices"
            )
        if not np.isfinite(self.vertices[self.faces]).all():
            raise ValueError("a vertex of a face is not a finite number")
        _require_textures(self)

    @property
    def num_faces(self) -> int:
        """F, the number of faces."""
        return len(self.faces)

    @property
    def textured(self) -> NDArray[np.bool_]:
        """Which faces [F] have a texture."""
        if self.face_texture is None:
            return np.zeros(self.num_faces, np.bool_)
        return self.face_texture >= 0

    def select(self, kept: NDArray[np.bool_]) -> TexturedMesh:
        """Returns the mesh of the faces where `kept` [F] is true."""
        return replace(
            self,
            faces=self.faces[kept],
            face_rgba=self.face_rgba[kept],
            face_objects=self.face_objects[kept],
            uvs=None if self.uvs is None else self.uvs[kept],
            face_texture=None if self.face_texture is None else self.face_texture[kept],
        )

    def transformed(self, matrix: NDArray[np.float64], shift: NDArray[np.float64]) -> TexturedMesh:
        """Returns the mesh with each vertex v replaced by matrix @ v + shift.

        A mirroring matrix turns the faces round, so that their outer sides stay outside.
        """
        moved = replace(self, vertices=self.vertices @ matrix.T + shift)
        return moved.turned(np.full(self.num_faces, np.linalg.det(matrix) < 0))

    def turned(self, chosen: NDArray[np.bool_]) -> TexturedMesh:
        """Returns the mesh with the faces where `chosen` [F] turned to the other side."""
        if not chosen.any():
            return self
        faces, uvs = self.faces.copy(), None if self.uvs is None else self.uvs.copy()
        faces[chosen] = faces[chosen, ::-1]
        if uvs is not None:
            uvs[chosen] = uvs[chosen, ::-1]
        return replace(self, faces=faces, uvs=uvs)

    def opaque(self) -> TexturedMesh:
        """Returns the mesh without the opacities of its faces and textures."""
        rgba = self.face_rgba.copy()
        rgba[:, 3] = 1
        textures = tuple(texture.copy() for texture in self.textures)
        for texture in textures:
            texture[..., 3] = 255
        return replace(self, face_rgba=rgba, textures=textures)

    def normalized(self) -> TexturedMesh:
        """Returns the mesh with the box of its faces centred and the longest side of it 1.

        Raises:
            ValueError: If there are no faces, or all their corners coincide.
        """
        corners = self.vertices[self._require_faces()]
        low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
        with np.errstate(over="ignore", divide="ignore"):  # extents beyond float64 are refused
            scale = 1 / (high - low).max()
        if not 0 < scale < np.inf:
            raise ValueError(
                f"the model must span a finite box with a side > 0, got {low} to {high}"
            )
        return self.transformed(np.eye(3) * scale, -(low + high) / 2 * scale)

    def cleaned(self, min_alpha: float = MIN_ALPHA) -> TexturedMesh:
        """Returns the mesh without faint or zero-area faces and unused vertices."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        kept = self.select((area > 0) & (self.face_rgba[:, 3] > min_alpha))
        used, faces = np.unique(kept.faces, return_inverse=True)
        return replace(kept, vertices=kept.vertices[used], faces=faces.reshape(-1, 3))

    def mesh(self) -> Mesh:
        """Returns the faces as a mesh with one sRGB colour per face.

        Raises:
            ValueError: If there are no faces.
        """
        faces = self._require_faces()
        return Mesh(
            vertices=torch.from_numpy(self.vertices.astype(np.float32)),
            faces=torch.from_numpy(np.ascontiguousarray(faces)),
            face_colors=torch.from_numpy(np.clip(self.face_rgba[:, :3], 0, 1)),
        )

    def _require_faces(self) -> NDArray[np.int64]:
        if not len(self.faces):
            raise ValueError("the model has no visible faces")
        return self.faces


def _require_textures(mesh: TexturedMesh) -> None:
    uvs, chosen, textures = mesh.uvs, mesh.face_texture, mesh.textures
    if (uvs is None) != (chosen is None):
        raise ValueError("uvs and face_texture must be given together")
    for texture in textures:
        if texture.dtype != np.uint8 or texture.ndim != 3 or texture.shape[2] != 4:
            raise ValueError(
                f"a texture must be uint8 [H, W, 4], got {texture.dtype} {texture.shape}"
            )
        if not texture.size:
            raise ValueError(f"a texture must have pixels, got {texture.shape}")
    if len(mesh.texture_wraps) not in (0, len(textures)):
        raise ValueError(f"{len(textures)} textures need as many texture_wraps")
    if uvs is None or chosen is None:
        return
    count = mesh.num_faces
    if uvs.shape != (count, 3, 2) or chosen.shape != (count,):
        raise ValueError(
            f"{count} faces need uvs [{count}, 3, 2] and face_texture [{count}],"
            f" got {uvs.shape} and {chosen.shape}"
        )
    if count and (chosen.min() < -1 or chosen.max() >= len(textures)):
        bad = chosen.max() if chosen.max() >= len(textures) else chosen.min()
        raise ValueError(f"a face names texture {bad} (counted from 0) of {len(textures)}")
    if not np.isfinite(uvs[chosen >= 0]).all():
        raise ValueError("a texture coordinate of a textured face is not a finite number")


def concatenate(meshes: Sequence[TexturedMesh]) -> TexturedMesh:
    """Returns one mesh with all faces, objects and textures of several."""
    vertex_starts = np.cumsum([0] + [len(s.vertices) for s in meshes])
    object_starts = np.cumsum([0] + [len(s.object_names) for s in meshes])
    pairs = list(zip(meshes, vertex_starts, object_starts, strict=False))
    uvs, face_texture = _joined_textures(meshes)
    return TexturedMesh(
        vertices=np.concatenate([s.vertices for s in meshes]),
        faces=np.concatenate([s.faces + start for s, start, _ in pairs]),
        face_rgba=np.concatenate([s.face_rgba for s in meshes]),
        face_objects=np.concatenate([s.face_objects + start for s, _, start in pairs]),
        object_names=tuple(name for s in meshes for name in s.object_names),
        uvs=uvs,
        face_texture=face_texture,
        textures=tuple(texture for s in meshes for texture in s.textures),
        texture_wraps=_joined_wraps(meshes),
        cut=any(s.cut for s in meshes),
    )


def _joined_wraps(meshes: Sequence[TexturedMesh]) -> tuple[tuple[int, int], ...]:
    """Returns how all textures continue beyond their sides; nothing if all repeat."""
    if not any(mesh.texture_wraps for mesh in meshes):
        return ()
    return tuple(
        wrap
        for mesh in meshes
        for wrap in mesh.texture_wraps or [(REPEAT, REPEAT)] * len(mesh.textures)
    )


def _joined_textures(
    meshes: Sequence[TexturedMesh],
) -> tuple[NDArray[np.float32] | None, NDArray[np.int64] | None]:
    """Returns `uvs` and `face_texture` of all faces; None if no mesh has any."""
    if all(mesh.uvs is None for mesh in meshes):
        return None, None
    uvs, chosen, start = [], [], 0
    for mesh in meshes:
        count = mesh.num_faces
        if mesh.uvs is None or mesh.face_texture is None:
            uvs.append(np.full((count, 3, 2), np.nan, np.float32))
            chosen.append(np.full(count, -1, np.int64))
        else:
            uvs.append(mesh.uvs)
            own = mesh.face_texture
            chosen.append(np.where(own >= 0, own + start, own))
        start += len(mesh.textures)
    return np.concatenate(uvs), np.concatenate(chosen)
