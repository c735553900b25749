"""glTF 2.0 files (.glb and .gltf): the triangles of the default scene with their colours.

Source: Khronos Group, glTF 2.0 specification.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.formats.meshes.reading.gltf_container import Container, as_list, as_object, pick
from recon.formats.meshes.reading.gltf_materials import BaseColor, base_color, paint_triangles
from recon.formats.meshes.reading.gltf_nodes import NodeTree, skin_matrices
from recon.formats.meshes.reading.textured_mesh import TexturedMesh, concatenate
from recon.formats.stores import Store

TRIANGLES, STRIP, FAN = 4, 5, 6
# A scene may show one mesh thousands of times; more faces than this are no model of one object.
MAX_FACES = 20_000_000
DRACO = "KHR_draco_mesh_compression"

# A part of a mesh, and whether its joints have placed it in the scene.
Part = tuple[TexturedMesh, bool]


def read_gltf(store: Store, name: str) -> TexturedMesh:
    """Reads a .glb or .gltf file.

    Lines and points are passed over; skins are in the rest pose of their joints, and morph targets
    have the weights that the file gives. A face has the mean colour of its corners in linear light,
    turned to sRGB; a texture is multiplied by the mean of all vertex colours.

    Args:
        store: The store that has the file, its buffers and its textures.
        name: The name of the file.

    Raises:
        ValueError: If the file is malformed, truncated or has no triangles, or if it requires an
            extension that cannot be read.
        FileNotFoundError: If a buffer is missing.
    """
    container = Container(store, name)
    try:
        surfaces = list(_placed_meshes(container))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"malformed glTF: {type(error).__name__} {error}") from error
    if not surfaces:
        raise ValueError("the scene has no triangles")
    return concatenate(surfaces)


def _placed_meshes(container: Container) -> Iterator[TexturedMesh]:
    """Yields the mesh of every node, placed in the scene."""
    tree = NodeTree(container)
    read: dict[tuple[Any, Any, tuple[float, ...]], list[Part]] = {}
    faces = 0
    for index in tree.scene_nodes():
        node = tree.nodes[index]
        if "mesh" not in node:
            continue
        weights = tuple(float(weight) for weight in as_list(node.get("weights", [])))
        key = (node["mesh"], node.get("skin"), weights)
        if key not in read:
            joints = None if "skin" not in node else tree.joints(node["skin"])
            read[key] = _read_mesh(container, node["mesh"], joints, weights)
        places = tree.instances(index)
        faces += len(places) * sum(surface.num_faces for surface, _ in read[key])
        _require_few(faces)
        for surface, placed in read[key]:
            if placed:  # by its joints; where its node stands does not matter
                yield surface
                continue
            for place in places:
                yield surface.transformed(place[:3, :3], place[:3, 3])


def _require_few(faces: int) -> None:
    if faces > MAX_FACES:
        raise ValueError(f"the scene has more than {MAX_FACES} triangles")


def _read_mesh(
    container: Container,
    index: Any,
    joints: NDArray[np.float64] | None,
    weights: tuple[float, ...],
) -> list[Part]:
    """Reads the parts of a mesh.

    Args:
        container: The glTF document.
        index: The index of the mesh.
        joints: [J, 4, 4] the matrices of the joints of its skin, None without one.
        weights: The weights of its morph targets; without any the mesh's own weights are taken.
    """
    mesh = as_object(pick(container.entries("meshes"), index, "mesh"))
    weights = weights or tuple(float(weight) for weight in as_list(mesh.get("weights", [])))
    parts: list[Part] = []
    for entry in as_list(mesh["primitives"]):
        part = _read_primitive(
            container, as_object(entry), str(mesh.get("name", "")), joints, weights
        )
        if part is not None:
            parts.append(part)
            _require_few(sum(surface.num_faces for surface, _ in parts))
    return parts


def _read_primitive(
    container: Container,
    primitive: dict[str, Any],
    name: str,
    joints: NDArray[np.float64] | None,
    weights: tuple[float, ...],
) -> Part | None:
    """Reads the triangles of a part of a mesh; None if it is made of lines or points."""
    attributes = as_object(primitive["attributes"])
    mode = primitive.get("mode", TRIANGLES)
    if mode not in (TRIANGLES, STRIP, FAN) or "POSITION" not in attributes:
        return None
    vertices = _morphed(container, primitive, weights)
    order = np.arange(len(vertices))
    if "indices" in primitive:
        order = container.accessor(primitive["indices"], 1)[:, 0].astype(np.int64)
    faces = _faces(order, mode)
    if len(faces) and faces.max() >= len(vertices):
        raise ValueError(f"a face names vertex {faces.max()} of {len(vertices)} vertices")
    mirrored = np.zeros(len(faces), np.bool_)
    matrices = None
    if joints is not None:
        matrices = skin_matrices(container, attributes, joints, len(vertices))
    if matrices is not None:
        vertices = np.einsum("vij,vj->vi", matrices[:, :3, :3], vertices) + matrices[:, :3, 3]
        mirrored = np.linalg.det(matrices[faces[:, 0], :3, :3]) < 0
    color = base_color(container, primitive.get("material"))
    linear = _vertex_colors(container, attributes, len(vertices))[faces].mean(axis=1)
    uvs = _texture_coordinates(container, color, attributes, len(vertices))
    surface = TexturedMesh(
        vertices=vertices,
        faces=faces,
        face_objects=np.zeros(len(faces), np.int64),
        object_names=(name,),
        cut=color.mode == "MASK",
        **paint_triangles(container, color, linear, None if uvs is None else uvs[faces]),
    )
    return surface.turned(mirrored), matrices is not None


def _morphed(
    container: Container, primitive: dict[str, Any], weights: tuple[float, ...]
) -> NDArray[np.float64]:
    """Returns the positions [V, 3], moved towards the morph targets as much as the file says."""
    if DRACO in as_object(primitive.get("extensions", {})):
        raise ValueError(f"{DRACO} cannot be read; save the file without compression")
    vertices = container.accessor(primitive["attributes"]["POSITION"], 3)
    targets = as_list(primitive.get("targets", []))
    for weight, target in zip(weights, targets, strict=False):
        if weight != 0 and "POSITION" in as_object(target):
            moves = container.accessor(target["POSITION"], 3)
            if len(moves) != len(vertices):
                raise ValueError(f"a morph target needs {len(vertices)} rows, got {len(moves)}")
            vertices = vertices + weight * moves
    return vertices


def _faces(order: NDArray[np.int64], mode: int) -> NDArray[np.int64]:
    """Returns the triangles [F, 3] of vertices in their order."""
    if mode == TRIANGLES:
        if len(order) % 3:
            raise ValueError(f"{len(order)} corners do not make whole triangles")
        return order.reshape(-1, 3)
    if mode == FAN:
        first = np.broadcast_to(order[:1], max(len(order) - 2, 0))
        return np.stack([first, order[1:-1], order[2:]], axis=1)
    strip = np.stack([order[:-2], order[1:-1], order[2:]], axis=1)
    strip[1::2] = strip[1::2, ::-1]  # every second triangle of a strip turns the other way
    return strip


def _vertex_colors(
    container: Container, attributes: dict[str, Any], count: int
) -> NDArray[np.float64]:
    """Returns the linear colours [V, 4] of the vertices, white where there are none."""
    rgba = np.ones((count, 4))
    if "COLOR_0" in attributes:
        given = container.accessor(attributes["COLOR_0"])
        if len(given) != count or given.shape[1] < 3:
            raise ValueError(f"COLOR_0 needs {count} rows of 3 or 4 numbers, got {given.shape}")
        rgba[:, : given.shape[1]] = given
    return rgba


def _texture_coordinates(
    container: Container, color: BaseColor, attributes: dict[str, Any], count: int
) -> NDArray[np.float64] | None:
    """Returns the texture coordinates [V, 2] of the vertices, None if none are needed."""
    if color.texture is None:
        return None
    attribute = f"TEXCOORD_{color.texture.texture_set}"
    if attribute not in attributes:
        return None
    uvs = container.accessor(attributes[attribute], 2)
    if len(uvs) != count:
        raise ValueError(f"{attribute} needs {count} rows, got {len(uvs)}")
    return uvs
