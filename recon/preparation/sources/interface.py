"""The protocols of sources of objects, from which data sets are prepared."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.formats.meshes.reading.textured_mesh import TexturedMesh

_ID = re.compile(r"[A-Za-z0-9._-]{1,200}")


class SourceUnreachableError(OSError):
    """A source cannot be reached from here: no network, no such service, no longer there."""


@dataclass(frozen=True)
class ObjectEntry:
    """One object of a source, before it is read.

    Attributes:
        id: The identifier, unique within the source and usable as a file name.
        name: The name for people.
        synset: The identifier of its category, or a word of the user's own.
        group: The family of the object; a family lies in one split.
        split: The split: 'train', 'val', 'test' or any other word.
        licence: The licence of the object.
        fingerprint: A hash that changes whenever what is read may change.

    Raises:
        ValueError: If the id is not usable as a file name, or a label is empty.
    """

    id: str
    name: str
    synset: str
    group: str
    split: str
    licence: str
    fingerprint: str

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id) or self.id.startswith("."):
            raise ValueError(f"id must match {_ID.pattern} without a first dot, got {self.id!r}")
        for label in ("synset", "split"):
            if not getattr(self, label):
                raise ValueError(f"{label} of {self.id} must be a word, got nothing")


@runtime_checkable
class MeshSource(Protocol):
    """A picklable collection of meshes, of which images are to be made.

    Attributes:
        name: The name of the source, which is stored in the file.
    """

    name: str

    def config(self) -> dict[str, Any]:
        """Returns plain data that differs whenever the source's objects differ."""

    def objects(self) -> list[ObjectEntry]:
        """Returns the objects in a fixed order, downloading what they need.

        Raises:
            SourceUnreachableError: If the source cannot be reached from here.
            ValueError, OSError: If the source as a whole is not usable.
        """

    def load(self, entry: ObjectEntry) -> TexturedMesh:
        """Returns one object: front +X, up +Y, bounding box centred, longest side 1.

        Raises:
            ValueError, OSError: If this one object is broken.
        """


@runtime_checkable
class TruthSource(Protocol):
    """A source of meshes that also has points as evaluation truth."""

    def truth_sizes(self) -> tuple[int, int]:
        """Returns P and M of the layout: points with occupancies and points of the surface."""

    def truth(self, entry: ObjectEntry) -> ObjectArrays:
        """Returns the fields of points of one object, those of a size 0 left out.

        Positions are in the world of the object which `MeshSource.load` gives.

        Raises:
            ValueError, OSError: If the points are missing or broken.
        """


@runtime_checkable
class ImageSource(Protocol):
    """A picklable collection of objects which come with images and cameras.

    Attributes:
        name: The name of the source, which is stored in the file.
    """

    name: str

    def config(self) -> dict[str, Any]:
        """Returns plain data that differs whenever the source's arrays differ."""

    def objects(self) -> list[ObjectEntry]:
        """Returns the objects in a fixed order.

        Raises:
            SourceUnreachableError: If the source cannot be reached from here.
            ValueError, OSError: If the source as a whole is not usable.
        """

    def layout(self) -> Layout:
        """Returns which arrays every object has; called after `objects`."""

    def arrays(self, entry: ObjectEntry) -> ObjectArrays:
        """Returns the arrays of one object.

        Raises:
            ValueError, OSError: If this one object is broken.
        """


def fingerprint(value: Any) -> str:
    """Returns a short hash of plain data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
