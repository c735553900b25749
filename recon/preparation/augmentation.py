"""Deformed copies of the training objects of a source of meshes."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from recon.arguments import Fraction, Seed
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.preparation.sources.interface import (
    MeshSource,
    ObjectEntry,
    TruthSource,
    fingerprint,
)

# Counted up whenever the same arguments give other meshes.
VERSION = 1
# Nearer to straight than this angle in radians, a bend is left out: its radius would be a division
# by nearly zero, and what it moves is far below a pixel.
STRAIGHT = 1e-4

Points = NDArray[np.float64]
# A share of the extent of an object by which one side of it may change.
Share = Annotated[float, Ge(0), Le(0.9)]


@dataclass(frozen=True)
class MeshAugmentation:
    """Deformations that keep an object upright, its front in front and its mirror plane.

    Args:
        copies: The number of deformed copies of each training object, >= 1.
        scale: The standard deviation of the logarithm of a factor along each axis.
        taper: The largest share by which an object gets narrower or wider towards its top or its
            front.
        bend: The largest angle in degrees by which the object is bent along its height or its
            length.
        shear: The largest shift of the top to the front or the rear, as a share of the height.
        mirror: The probability that left and right are exchanged.
        originals: Whether the objects themselves are kept, of all splits; without them a file has
            the copies alone, as one entry of a mixture.
        seed: The seed of all random numbers.

    Raises:
        ValueError: If a number is out of range.
    """

    copies: Annotated[int, Ge(1), Le(1000)] = 2
    scale: Annotated[float, Ge(0), Le(1)] = 0.15
    taper: Share = 0.2
    bend: Annotated[float, Ge(0), Le(90)] = 8.0
    shear: Share = 0.08
    mirror: Fraction = 0.5
    originals: bool = True
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise ValueError(f"copies must be >= 1, got {self.copies}")
        limits = {"scale": 1, "taper": 0.9, "bend": 90, "shear": 0.9, "mirror": 1}
        for name, limit in limits.items():
            if not 0 <= getattr(self, name) <= limit:
                raise ValueError(f"{name} must be 0 to {limit}, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")

    def config(self) -> dict[str, Any]:
        """Returns the arguments as plain data."""
        return {"version": VERSION, **asdict(self)}

    def deform(self, mesh: TexturedMesh, object_id: str, copy: int) -> TexturedMesh:
        """Returns one deformed copy, a pure function of the arguments.

        Args:
            mesh: The mesh: front +X, up +Y, box centred, longest side 1.
            object_id: The id of the object, by which the random numbers differ.
            copy: The number of the copy, from 0.

        Returns:
            The mesh in the same frame, its box centred and its longest side 1 again.
        """
        key = int.from_bytes(hashlib.sha256(object_id.encode()).digest()[:8], "big")
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, key, copy])))
        along = int(rng.choice([0, 1]))  # of the bend: the length or the height
        points = mesh.vertices * np.exp(rng.normal(0.0, self.scale, 3))
        points = _tapered(points, int(rng.choice([0, 1])), rng.uniform(-self.taper, self.taper))
        points = _bent(points, along, np.radians(rng.uniform(-self.bend, self.bend)))
        points[:, 0] += rng.uniform(-self.shear, self.shear) * points[:, 1]
        mirrored = np.diag([1.0, 1.0, -1.0 if rng.random() < self.mirror else 1.0])
        return replace(mesh, vertices=points).transformed(mirrored, np.zeros(3)).normalized()


def _tapered(points: Points, axis: int, share: float) -> Points:
    """Returns points drawn together across an axis by 1 -+ share at its two ends."""
    factors = 1 - share * _places(points, axis)
    out = points * factors[:, None]
    out[:, axis] = points[:, axis]
    return out


def _places(points: Points, axis: int) -> Points:
    """Returns where each point lies along an axis, from -1 at one end to 1 at the other."""
    low, high = points[:, axis].min(), points[:, axis].max()
    return (2 * points[:, axis] - low - high) / max(high - low, 1e-12)  # a flat mesh has no ends


def _bent(points: Points, axis: int, angle: float) -> Points:
    """Returns points bent in the plane z = 0, so that the two ends of an axis differ by an angle.

    Source: Barr, Global and local deformations of solid primitives (SIGGRAPH 1984), section 5.
    """
    length = float(np.ptp(points[:, axis]))
    if abs(angle) < STRAIGHT or length == 0:
        return points.copy()
    across, radius = 1 - axis, length / angle
    turns = points[:, axis] / radius
    out = points.copy()
    out[:, axis] = (radius - points[:, across]) * np.sin(turns)
    out[:, across] = radius - (radius - points[:, across]) * np.cos(turns)
    return out


class AugmentedSource:
    """A source of meshes with deformed copies of its training objects.

    A copy has the family, the split and the licence of its object. Objects of other splits are
    never deformed.

    Args:
        meshes: The source of the objects.
        augmentation: The deformations.

    Raises:
        ValueError: If the source has points as evaluation truth, which would not fit the copies.
    """

    def __init__(self, meshes: MeshSource, augmentation: MeshAugmentation) -> None:
        if isinstance(meshes, TruthSource) and any(meshes.truth_sizes()):
            raise ValueError(f"augmentation cannot deform the points of the source {meshes.name}")
        self.name = meshes.name
        self._meshes, self._augmentation = meshes, augmentation
        self._copies: dict[str, tuple[ObjectEntry, int]] = {}

    def config(self) -> dict[str, Any]:
        """Returns the configuration of the source, and that of the deformations."""
        return {**self._meshes.config(), "augmentation": self._augmentation.config()}

    def objects(self) -> list[ObjectEntry]:
        """Returns the objects of the source where these are kept, and then the copies.

        Raises:
            ValueError, OSError: If the source raises it, or there is no training object.
        """
        originals = self._meshes.objects()
        copied = [
            (self._copy(entry, number), entry, number)
            for entry in originals
            if entry.split == "train"
            for number in range(self._augmentation.copies)
        ]
        if not copied:
            raise ValueError(f"augmentation needs training objects, and {self.name} has none")
        self._copies = {copy.id: (entry, number) for copy, entry, number in copied}
        copies = [copy for copy, _, _ in copied]
        return [*originals, *copies] if self._augmentation.originals else copies

    def _copy(self, entry: ObjectEntry, number: int) -> ObjectEntry:
        # With the seed, so that files of several seeds can be mixed.
        return replace(
            entry,
            id=f"{entry.id}-deformed-{self._augmentation.seed}-{number:03d}",
            name=f"{entry.name} (deformed {number})",
            fingerprint=fingerprint([entry.fingerprint, self._augmentation.config(), number]),
        )

    def load(self, entry: ObjectEntry) -> TexturedMesh:
        """Returns one object or copy: front +X, up +Y, bounding box centred, longest side 1.

        Raises:
            ValueError, OSError: If this one object is broken.
        """
        if entry.id not in self._copies:
            return self._meshes.load(entry)
        original, number = self._copies[entry.id]
        return self._augmentation.deform(self._meshes.load(original), original.id, number)
