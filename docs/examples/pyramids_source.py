"""A data set of one's own: pyramids, made by code; yours would read files."""

from __future__ import annotations

from typing import Any

import numpy as np

from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.preparation.sources.interface import ObjectEntry, fingerprint

SPLITS = ("train", "train", "val", "test")


class PyramidsSource:
    """Square pyramids of random height and colour, a `MeshSource`.

    Args:
        count: The number of pyramids.
    """

    name = "pyramids"

    def __init__(self, count: int = 8) -> None:
        self.count = count

    def config(self) -> dict[str, Any]:
        """Returns what decides the objects; a file of another configuration is not overwritten."""
        return {"source": self.name, "count": self.count}

    def objects(self) -> list[ObjectEntry]:
        """Returns the objects before they are read: name, category, family, split, licence."""
        return [
            ObjectEntry(
                id=f"pyramid-{index}",
                name=f"pyramid {index}",
                synset="pyramid",
                group=f"pyramid-{index}",  # a family of objects lies in one split
                split=SPLITS[index % len(SPLITS)],
                licence="CC0-1.0",
                fingerprint=fingerprint([self.name, index]),
            )
            for index in range(self.count)
        ]

    def load(self, entry: ObjectEntry) -> TexturedMesh:
        """Returns one object: front +X, up +Y, its box centred, the longest side 1."""
        random = np.random.default_rng(int(entry.id.rpartition("-")[2]))
        corners = [[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1], [0, random.uniform(2, 4), 0]]
        faces = [[0, 1, 2], [0, 2, 3], [1, 0, 4], [2, 1, 4], [3, 2, 4], [0, 3, 4]]
        color = np.append(random.uniform(0.2, 1, 3), 1)  # red, green, blue and opacity
        return TexturedMesh(
            vertices=np.array(corners, np.float64),
            faces=np.array(faces),
            face_rgba=np.tile(color, (len(faces), 1)).astype(np.float32),
            face_objects=np.zeros(len(faces), np.int64),
        ).normalized()
