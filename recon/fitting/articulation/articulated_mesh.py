"""Articulated meshes: a tree of joints, linear blend skinning and blend shapes, all differentiable.

A joint rotates everything below it about its own position. Let R_j be the product of the rotations
of all joints along the chain from the root, and p_j the position to which joint j moves. Then

    skinned vertex = sum over j of weight_j * (R_j @ (vertex - rest_j) + p_j)

where `rest_j` and `vertex` are positions of joint and vertex in the rest pose after blend shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recon.geometry.meshes import Mesh
from recon.geometry.rotations import axis_angle_to_rotation

# Weights come from files with few digits.
_WEIGHT_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A tree of J joints.

    Args:
        parents: The index of the parent of each joint, which comes before the joint; -1 for the
            root, which is joint 0.
        places: [J, 3] positions of the joints in the rest pose, object units.
        names: The names of the joints; empty for none.

    Raises:
        ValueError: The arguments have different numbers of joints, a parent does not come before
            its joint, or a place is not finite.
    """

    parents: tuple[int, ...]
    places: Tensor
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.parents)
        if self.places.shape != (count, 3) or not self.places.is_floating_point() or not count:
            raise ValueError(
                f"places must be a floating-point tensor of shape [{count}, 3] with a row for each"
                f" parent, got {self.places.dtype} {list(self.places.shape)}"
            )
        if self.names and len(self.names) != count:
            raise ValueError(f"there are {count} joints but {len(self.names)} names")
        for joint, parent in enumerate(self.parents):
            if (joint == 0) != (parent == -1) or not -1 <= parent < joint:
                raise ValueError(
                    "joint 0 must have parent -1, and every other one a parent before it;"
                    f" got parent {parent} of joint {joint}"
                )
        if not bool(torch.isfinite(self.places).all()):
            raise ValueError("places must be finite")

    def __len__(self) -> int:
        return len(self.parents)

    def transforms(self, angles: Tensor, places: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Multiplies the rotations of joints along their chains.

        Args:
            angles: [B, J, 3] axis-angle vectors in radians, each in the frame of the rest pose
                turned by the joints above.
            places: [B, J, 3] positions of the joints in the rest pose, where they differ from those
                of the skeleton.

        Returns:
            rotations: [B, J, 3, 3], from the rest pose.
            positions: [B, J, 3] of the joints.

        Raises:
            ValueError: An argument has another shape.
        """
        count = len(self)
        if angles.dim() != 3 or angles.shape[1:] != (count, 3):
            raise ValueError(f"angles must have shape [B, {count}, 3], got {list(angles.shape)}")
        if places is None:
            places = self.places.to(angles).expand(len(angles), -1, -1)
        elif places.shape != angles.shape:
            raise ValueError(
                f"places must have shape {list(angles.shape)}, got {list(places.shape)}"
            )
        local = axis_angle_to_rotation(angles)
        rotations, positions = [local[:, 0]], [places[:, 0]]
        for joint, parent in list(enumerate(self.parents))[1:]:
            bone = places[:, joint] - places[:, parent]
            rotations.append(_times(rotations[parent], local[:, joint]))
            positions.append(positions[parent] + _turned(rotations[parent], bone))
        return torch.stack(rotations, 1), torch.stack(positions, 1)

    def below(self, joint: int) -> list[int]:
        """Returns a joint and all that it moves, in ascending order."""
        found = {joint}
        for index, parent in enumerate(self.parents):
            if parent in found:
                found.add(index)
        return sorted(found)


@dataclass(frozen=True, eq=False)
class ArticulatedMesh:
    """A mesh that bends with a skeleton and changes its shape by blend shapes.

    Args:
        mesh: The mesh in the rest pose.
        skeleton: The skeleton of J joints that bends the mesh.
        weights: [V, J] the share of each joint in the motion of each vertex; >= 0, with the sum 1
            over the joints.
        shapes: [S, V, 3] displacements of the vertices in the rest pose by each blend shape; None
            for S = 0.
        joint_shapes: [S, J, 3] displacements of the joints that belong to the blend shapes; None
            leaves the joints where they are.

    Raises:
        ValueError: Shapes disagree, weights are negative or do not sum to 1, or a value is not
            finite.
    """

    mesh: Mesh
    skeleton: Skeleton
    weights: Tensor
    shapes: Tensor | None = None
    joint_shapes: Tensor | None = None

    def __post_init__(self) -> None:
        vertices, joints, shapes = self.mesh.num_vertices, len(self.skeleton), self.num_shapes
        _require_shape("weights", self.weights, (vertices, joints))
        off = (self.weights.sum(1) - 1).abs()
        if not bool((self.weights >= 0).all()) or not bool((off <= _WEIGHT_TOLERANCE).all()):
            worst = int(off.argmax())
            raise ValueError(
                "weights must be >= 0 with rows that sum to 1,"
                f" got {self.weights[worst].tolist()} in row {worst}"
            )
        if self.shapes is not None:
            _require_shape("shapes", self.shapes, (shapes, vertices, 3))
        if self.joint_shapes is not None:
            _require_shape("joint_shapes", self.joint_shapes, (shapes, joints, 3))

    @property
    def num_shapes(self) -> int:
        """S, the number of blend shapes."""
        return 0 if self.shapes is None else len(self.shapes)

    def pose(
        self,
        angles: Tensor,
        translation: Tensor | None = None,
        coefficients: Tensor | None = None,
    ) -> Tensor:
        """Bends the mesh.

        Args:
            angles: [B, J, 3] axis-angle vectors of the joints in radians.
            translation: [B, 3] the translation of the whole mesh, object units.
            coefficients: [B, S] the coefficients of the blend shapes; None leaves the shape as it
                is.

        Returns:
            [B, V, 3].

        Raises:
            ValueError: An argument has another shape.
        """
        places = self._places(angles, coefficients)
        rotations, positions = self.skeleton.transforms(angles, places)
        vertices = self.shaped(coefficients, len(angles)).to(angles.dtype)
        weights = self.weights.to(angles)
        # Joint by joint: R (v - rest) + p = R v + (p - R rest). Few joints, and no [B, V, J, 3].
        shifts = positions - _turned(rotations, places)
        total = torch.zeros_like(vertices)
        for joint in range(len(self.skeleton)):
            moved = _turned(rotations[:, joint, None], vertices) + shifts[:, joint, None]
            total = total + weights[:, joint, None] * moved
        return total if translation is None else total + translation[:, None]

    def joints(
        self,
        angles: Tensor,
        translation: Tensor | None = None,
        coefficients: Tensor | None = None,
    ) -> Tensor:
        """Returns the places [B, J, 3] of the joints; arguments as of `pose`."""
        places = self._places(angles, coefficients)
        positions = self.skeleton.transforms(angles, places)[1]
        return positions if translation is None else positions + translation[:, None]

    def shaped(self, coefficients: Tensor | None, batch: int = 1) -> Tensor:
        """Returns the vertices [B, V, 3] of the rest pose after blend shapes.

        Args:
            coefficients: [B, S] the coefficients of the blend shapes; None leaves the mesh as it
                is.
            batch: The batch size B, which is used where there are no coefficients.

        Raises:
            ValueError: An argument has another shape.
        """
        return self._blended("shapes", self.mesh.vertices, coefficients, batch)

    def _places(self, angles: Tensor, coefficients: Tensor | None) -> Tensor:
        places = self._blended("joint_shapes", self.skeleton.places, coefficients, len(angles))
        return places.to(angles.dtype)

    def _blended(self, name: str, rest: Tensor, coefficients: Tensor | None, batch: int) -> Tensor:
        if coefficients is None:
            return rest.expand(batch, -1, -1)
        if coefficients.dim() != 2 or coefficients.shape[1] != self.num_shapes:
            raise ValueError(
                f"coefficients must have shape [B, {self.num_shapes}],"
                f" got {list(coefficients.shape)}"
            )
        displacements = getattr(self, name)
        if displacements is None:
            return rest.expand(len(coefficients), -1, -1)
        factors = coefficients[:, :, None, None]
        return rest + (factors * displacements.to(coefficients)).sum(1)


def _turned(rotations: Tensor, vectors: Tensor) -> Tensor:
    """Turns vectors [..., 3] by rotations [..., 3, 3]."""
    # No matmul, which may run in reduced precision.
    return (rotations * vectors[..., None, :]).sum(-1)


def _times(first: Tensor, second: Tensor) -> Tensor:
    """Multiplies matrices [..., 3, 3]."""
    return (first[..., :, :, None] * second[..., None, :, :]).sum(-2)


def _require_shape(name: str, value: Tensor, shape: Sequence[int]) -> None:
    if tuple(value.shape) != tuple(shape) or not value.is_floating_point():
        raise ValueError(
            f"{name} must be a floating-point tensor of shape {list(shape)},"
            f" got {value.dtype} {list(value.shape)}"
        )
    if not bool(torch.isfinite(value).all()):
        raise ValueError(f"{name} must be finite")
