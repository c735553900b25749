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
from recon.formats.meshes.reading.surfaces import Surface, concatenate
from recon.formats.stores import Store

TRIANGLES, STRIP, FAN = 4, 5, 6
# A scene may show one mesh thousands of times; more faces than this are no model of one object.
MAX_FACES = 20_000_000


def read_gltf(store: Store, name: str) -> Surface:
    """Read a .glb or .gltf file.

    Lines and points are passed over; skins and morph targets stay in their rest pose. A face has
    the mean colour of its corners in linear light, turned to sRGB; a texture is multiplied by the
    mean of all vertex colours.

    Args:
        store: where the file, its buffers and its textures are.
        name: the file.

    Raises:
        ValueError: if the file is malformed, truncated, compressed or has no triangles.
        FileNotFoundError: if a buffer is missing.
    """
    container = Container(store, name)
    try:
        surfaces = list(_placed_surfaces(container))
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"malformed glTF: {type(error).__name__} {error}") from error
    if not surfaces:
        raise ValueError("the scene has no triangles")
    return concatenate(surfaces)


def _placed_surfaces(container: Container) -> Iterator[Surface]:
    """Yield the surfaces of every node's mesh, placed in the scene."""
    nodes = container.items("nodes")
    meshes: dict[int, list[Surface]] = {}
    waiting = [(root, np.eye(4)) for root in reversed(_roots(container, nodes))]
    seen: set[int] = set()
    faces = 0
    while waiting:
        index, above = waiting.pop()
        node = as_object(pick(nodes, index, "node"))
        if index in seen:
            raise ValueError(f"node {index} has several parents; nodes must form trees")
        seen.add(index)
        matrix = above @ _placement(node)
        waiting += [(child, matrix) for child in reversed(as_list(node.get("children", [])))]
        if "mesh" not in node:
            continue
        mesh = node["mesh"]
        if mesh not in meshes:
            meshes[mesh] = _read_mesh(container, mesh)
        faces += sum(surface.num_faces for surface in meshes[mesh])
        _require_few(faces)
        for surface in meshes[mesh]:
            yield surface.transformed(matrix[:3, :3], matrix[:3, 3])


def _require_few(faces: int) -> None:
    if faces > MAX_FACES:
        raise ValueError(f"the scene has more than {MAX_FACES} triangles")


def _roots(container: Container, nodes: list[Any]) -> list[Any]:
    """Return the roots of the default scene; without scenes, all nodes without a parent."""
    scenes = container.items("scenes")
    if scenes:
        scene = as_object(pick(scenes, container.json.get("scene", 0), "scene"))
        return as_list(scene.get("nodes", []))
    children = {child for node in nodes for child in as_list(as_object(node).get("children", []))}
    return [index for index in range(len(nodes)) if index not in children]


def _placement(node: dict[str, Any]) -> NDArray[np.float64]:
    """Return the matrix [4, 4] of a node: given as such, or translation * rotation * scale."""
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


def _read_mesh(container: Container, index: Any) -> list[Surface]:
    mesh = as_object(pick(container.items("meshes"), index, "mesh"))
    surfaces: list[Surface] = []
    for primitive in as_list(mesh["primitives"]):
        surface = _read_primitive(container, as_object(primitive), str(mesh.get("name", "")))
        if surface is not None:
            surfaces.append(surface)
            _require_few(sum(surface.num_faces for surface in surfaces))
    return surfaces


def _read_primitive(container: Container, primitive: dict[str, Any], name: str) -> Surface | None:
    """Read the triangles of a part of a mesh; None if it is made of lines or points."""
    attributes = as_object(primitive["attributes"])
    mode = primitive.get("mode", TRIANGLES)
    if mode not in (TRIANGLES, STRIP, FAN) or "POSITION" not in attributes:
        return None
    vertices = container.accessor(attributes["POSITION"], 3)
    order = np.arange(len(vertices))
    if "indices" in primitive:
        order = container.accessor(primitive["indices"], 1)[:, 0].astype(np.int64)
    faces = _faces(order, mode)
    if len(faces) and faces.max() >= len(vertices):
        raise ValueError(f"a face names vertex {faces.max()} of {len(vertices)} vertices")
    color = base_color(container, primitive.get("material"))
    linear = _vertex_colors(container, attributes, len(vertices))[faces].mean(axis=1)
    uvs = _texture_coordinates(container, color, attributes, len(vertices))
    return Surface(
        vertices=vertices,
        faces=faces,
        face_objects=np.zeros(len(faces), np.int64),
        object_names=(name,),
        **paint_triangles(container, color, linear, None if uvs is None else uvs[faces]),
    )


def _faces(order: NDArray[np.int64], mode: int) -> NDArray[np.int64]:
    """Return the triangles [F, 3] of vertices in their order."""
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
    """Return the linear colours [V, 4] of the vertices, white where there are none."""
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
    """Return the texture coordinates [V, 2] of the vertices, None if none are needed."""
    attribute = f"TEXCOORD_{color.texture_set}"
    if color.image is None or attribute not in attributes:
        return None
    uvs = container.accessor(attributes[attribute], 2)
    if len(uvs) != count:
        raise ValueError(f"{attribute} needs {count} rows, got {len(uvs)}")
    return uvs
