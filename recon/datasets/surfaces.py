"""What a mesh file holds once read: triangles with colours and the names of its objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from recon.meshes import Mesh

# Faces fainter than this are panes and glows which a picture hardly shows.
MIN_ALPHA = 0.05


@dataclass(frozen=True)
class Surface:
    """Coloured triangles in a file's own frame.

    Attributes:
        vertices: [V, 3] float64.
        faces: [F, 3] int64 rows of `vertices`.
        face_rgba: [F, 4] float32 sRGB colour and opacity in [0, 1].
        face_objects: [F] int64 rows of `object_names`.
        object_names: the names of the file's objects (groups, sub-meshes).
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    face_rgba: NDArray[np.float32]
    face_objects: NDArray[np.int64]
    object_names: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        if self.faces.size and (self.faces.min() < 0 or self.faces.max() >= len(self.vertices)):
            bad = self.faces.max() if self.faces.max() >= len(self.vertices) else self.faces.min()
            raise ValueError(
                f"a face names vertex {bad} (counted from 0) of {len(self.vertices)} vertices"
            )
        if not np.isfinite(self.vertices[self.faces]).all():
            raise ValueError("a vertex of a face is not a finite number")

    def select(self, kept: NDArray[np.bool_]) -> Surface:
        """Return the surface of the faces where `kept` [F] is true."""
        return replace(
            self,
            faces=self.faces[kept],
            face_rgba=self.face_rgba[kept],
            face_objects=self.face_objects[kept],
        )

    def transformed(self, matrix: NDArray[np.float64], shift: NDArray[np.float64]) -> Surface:
        """Return the surface with each vertex v replaced by matrix @ v + shift."""
        return replace(self, vertices=self.vertices @ matrix.T + shift)

    def cleaned(self, min_alpha: float = MIN_ALPHA) -> Surface:
        """Return the surface without faint or zero-area faces and unused vertices."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        kept = self.select((area > 0) & (self.face_rgba[:, 3] > min_alpha))
        used, faces = np.unique(kept.faces, return_inverse=True)
        return replace(kept, vertices=kept.vertices[used], faces=faces.reshape(-1, 3))

    def mesh(self) -> Mesh:
        """Return the faces as a mesh with one sRGB colour per face.

        Raises:
            ValueError: if there are no faces.
        """
        if not len(self.faces):
            raise ValueError("the model has no visible faces")
        return Mesh(
            vertices=torch.from_numpy(self.vertices.astype(np.float32)),
            faces=torch.from_numpy(np.ascontiguousarray(self.faces)),
            face_colors=torch.from_numpy(np.clip(self.face_rgba[:, :3], 0, 1)),
        )


def concatenate(surfaces: Sequence[Surface]) -> Surface:
    """Return one surface with all the faces and objects of several."""
    vertex_starts = np.cumsum([0] + [len(s.vertices) for s in surfaces])
    object_starts = np.cumsum([0] + [len(s.object_names) for s in surfaces])
    pairs = list(zip(surfaces, vertex_starts, object_starts, strict=False))
    return Surface(
        vertices=np.concatenate([s.vertices for s in surfaces]),
        faces=np.concatenate([s.faces + start for s, start, _ in pairs]),
        face_rgba=np.concatenate([s.face_rgba for s in surfaces]),
        face_objects=np.concatenate([s.face_objects + start for s, _, start in pairs]),
        object_names=tuple(name for s in surfaces for name in s.object_names),
    )
