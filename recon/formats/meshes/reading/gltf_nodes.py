"""Where the meshes of glTF 2.0 stand: transforms of nodes, joints of skins, and instances.

Source: Khronos Group, glTF 2.0 specification, sections 3.5.3, 3.7.2.2 and 3.7.3, and the extension
EXT_mesh_gpu_instancing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.formats.meshes.reading.gltf_container import (
    Container,
    as_list,
    as_object,
    extension,
    pick,
)

INSTANCING = "EXT_mesh_gpu_instancing"


class NodeTree:
    """The nodes of a document and their places in the scene.

    Args:
        container: The glTF document.

    Attributes:
        nodes: The nodes of the document.

    Raises:
        ValueError: If a node has several parents.
    """

    def __init__(self, container: Container) -> None:
        self.nodes = [as_object(node) for node in container.entries("nodes")]
        self._container = container
        self._parents: dict[int, int] = {}
        self._places: dict[int, NDArray[np.float64]] = {}
        for parent, node in enumerate(self.nodes):
            for child in as_list(node.get("children", [])):
                pick(self.nodes, child, "node")
                if self._parents.setdefault(child, parent) != parent:
                    raise ValueError(f"node {child} has several parents; nodes must form trees")

    def roots(self) -> list[int]:
        """Returns the roots of the default scene; without scenes, all nodes without a parent."""
        scenes = self._container.entries("scenes")
        if not scenes:
            return [index for index in range(len(self.nodes)) if index not in self._parents]
        scene = as_object(pick(scenes, self._container.json.get("scene", 0), "scene"))
        return as_list(scene.get("nodes", []))

    def scene_nodes(self) -> list[int]:
        """Returns the nodes of the default scene, parents before children.

        Raises:
            ValueError: If a node does not exist or has several parents.
        """
        waiting = list(reversed(self.roots()))
        order: list[int] = []
        seen: set[int] = set()
        while waiting:
            index = waiting.pop()
            node = pick(self.nodes, index, "node")
            if index in seen:
                raise ValueError(f"node {index} has several parents; nodes must form trees")
            seen.add(index)
            order.append(index)
            waiting += reversed(as_list(node.get("children", [])))
        return order

    def scene_matrix(self, index: int) -> NDArray[np.float64]:
        """Returns the matrix [4, 4] from a node's own frame to that of the scene.

        Raises:
            ValueError: If it is its own ancestor.
        """
        chain: list[int] = []
        at: int | None = index
        while at is not None and at not in self._places:
            if len(chain) > len(self.nodes):
                raise ValueError(f"node {index} is its own ancestor")
            chain.append(at)
            at = self._parents.get(at)
        matrix = np.eye(4) if at is None else self._places[at]
        for node in reversed(chain):
            matrix = matrix @ local_matrix(pick(self.nodes, node, "node"))
            self._places[node] = matrix
        return matrix

    def joints(self, skin: Any) -> NDArray[np.float64]:
        """Returns the matrices [J, 4, 4] from the bind pose of a skin to the rest pose."""
        entry = as_object(pick(self._container.entries("skins"), skin, "skin"))
        joints = as_list(entry["joints"])
        for joint in joints:
            pick(self.nodes, joint, "node")
        places = np.stack([self.scene_matrix(joint) for joint in joints])
        if "inverseBindMatrices" not in entry:
            return places
        inverse = self._container.accessor(entry["inverseBindMatrices"], 16)
        if len(inverse) < len(joints):
            raise ValueError(f"{len(joints)} joints need as many inverseBindMatrices")
        return places @ inverse[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1)

    def instances(self, index: int) -> NDArray[np.float64]:
        """Returns the matrices [N, 4, 4] of the places that a node's mesh takes in the scene."""
        place = self.scene_matrix(index)
        instancing = extension(self.nodes[index], INSTANCING)
        if not instancing:
            return place[None]
        attributes = as_object(instancing["attributes"])
        columns = {
            key: self._container.accessor(attributes[word], width)
            for word, key, width in (
                ("TRANSLATION", "translation", 3),
                ("ROTATION", "rotation", 4),
                ("SCALE", "scale", 3),
            )
            if word in attributes
        }
        counts = {len(rows) for rows in columns.values()}
        if len(counts) != 1:
            raise ValueError(f"instances of node {index} need attributes of one length")
        own = [
            local_matrix({key: rows[k] for key, rows in columns.items()})
            for k in range(counts.pop())
        ]
        return place @ np.array(own).reshape(-1, 4, 4)


def local_matrix(node: dict[str, Any]) -> NDArray[np.float64]:
    """Returns the matrix [4, 4] of a node: given as such, or translation * rotation * scale."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T  # stored column by column
    x, y, z, w = np.array(node.get("rotation", [0, 0, 0, 1]), np.float64).tolist()
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.array(node.get("scale", [1, 1, 1]), np.float64)
    matrix[:3, 3] = node.get("translation", [0, 0, 0])
    return matrix


def skin_matrices(
    container: Container, attributes: dict[str, Any], joints: NDArray[np.float64], count: int
) -> NDArray[np.float64] | None:
    """Returns the matrix [V, 4, 4] of every vertex of a skinned mesh; None without weights.

    Args:
        container: The glTF document.
        attributes: The attributes of the vertices, of which JOINTS_n and WEIGHTS_n bind them to
            joints.
        joints: [J, 4, 4] the matrices of the joints.
        count: The number V of vertices.
    """
    matrices, total = np.zeros((count, 4, 4)), np.zeros(count)
    sets = [n for n in range(len(attributes)) if f"JOINTS_{n}" in attributes]
    for n in sets:
        rows = container.accessor(attributes[f"JOINTS_{n}"], 4)
        weights = container.accessor(attributes[f"WEIGHTS_{n}"], 4)
        if len(rows) != count or len(weights) != count:
            raise ValueError(f"JOINTS_{n} and WEIGHTS_{n} need {count} rows each")
        if (weights < 0).any() or not np.isfinite(weights).all():
            raise ValueError(f"WEIGHTS_{n} must be finite and >= 0")
        for column in range(4):
            bound = rows[:, column].astype(np.int64)
            if count and (bound[weights[:, column] > 0] >= len(joints)).any():
                raise ValueError(f"JOINTS_{n} names joint {bound.max()} of {len(joints)}")
            # Joints of no weight may name anything.
            bound = np.where(weights[:, column] > 0, bound, 0)
            matrices += weights[:, column, None, None] * joints[bound]
            total += weights[:, column]
    if not sets:
        return None
    matrices[total == 0] = joints[0]  # a vertex bound to nothing follows the first joint
    return matrices / np.where(total > 0, total, 1)[:, None, None]
