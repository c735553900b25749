"""What a source of meshes offers to the preparation of a data set."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol

from recon.meshes import Mesh


@dataclass(frozen=True)
class MeshObject:
    """One object of a source, before its mesh is read.

    Attributes:
        id: unique within the source, usable as a file name.
        name: what a person calls it.
        synset: its category's identifier.
        group: its family; a family lies in one split.
        split: 'train', 'val', 'test' or any other word.
        licence: of the mesh.
        fingerprint: changes whenever the mesh may change.
    """

    id: str
    name: str
    synset: str
    group: str
    split: str
    licence: str
    fingerprint: str


class MeshSource(Protocol):
    """A picklable collection of meshes.

    Attributes:
        name: of the source, stored in the file.
    """

    name: str

    def recipe(self) -> dict[str, Any]:
        """Return plain data that differs whenever the source's objects differ."""

    def objects(self) -> list[MeshObject]:
        """Return the objects in a fixed order, downloading what they need.

        Raises:
            ValueError, OSError: if the source as a whole is not usable.
        """

    def load(self, item: MeshObject) -> Mesh:
        """Return the mesh of one object: front +X, up +Y, box centred, longest side 1.

        Raises:
            ValueError, OSError: if this one object is broken.
        """


def fingerprint(value: Any) -> str:
    """Return a short hash of plain data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
