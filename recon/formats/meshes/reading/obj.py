"""Wavefront OBJ files; their material libraries are read in `mtl`."""

from __future__ import annotations

import posixpath
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recon.formats.meshes.reading.companions import find_companion
from recon.formats.meshes.reading.materials import DEFAULT_COLOR, Material, paint_faces
from recon.formats.meshes.reading.mtl import read_mtl
from recon.formats.meshes.reading.polygons import triangulate
from recon.formats.meshes.reading.textured_mesh import MeshWarning, TexturedMesh
from recon.formats.stores import Store
from recon.formats.text import parse_floats, read_lines

# Materials which Sweet Home 3D knows by name, without any MTL file (approximate colours).
NAMED_COLORS: dict[str, tuple[float, float, float]] = {
    "amber": (0.88, 0.56, 0.09),
    "ambertrans": (0.60, 0.40, 0.10),
    "black": (0.05, 0.05, 0.05),
    "black_plastic": (0.08, 0.08, 0.08),
    "blue": (0.10, 0.10, 0.80),
    "bronze": (0.55, 0.40, 0.20),
    "brown": (0.40, 0.25, 0.12),
    "charcoal": (0.17, 0.17, 0.17),
    "copper": (0.72, 0.45, 0.20),
    "darkblue": (0.10, 0.10, 0.40),
    "dkgrey": (0.30, 0.30, 0.30),
    "dkpurple": (0.30, 0.10, 0.35),
    "flblack": (0.05, 0.05, 0.05),
    "flbrown": (0.40, 0.25, 0.12),
    "fldkgrey": (0.30, 0.30, 0.30),
    "flgrey": (0.50, 0.50, 0.50),
    "flltbrown": (0.60, 0.45, 0.30),
    "flltgrey": (0.70, 0.70, 0.70),
    "flltolivegreen": (0.60, 0.65, 0.45),
    "flredbrown": (0.45, 0.20, 0.10),
    "glassblutint": (0.60, 0.70, 0.90),
    "gold": (0.80, 0.65, 0.20),
    "gray": (0.50, 0.50, 0.50),
    "green": (0.10, 0.60, 0.10),
    "grey": (0.50, 0.50, 0.50),
    "lavendar": (0.60, 0.60, 0.90),
    "ltbrown": (0.65, 0.50, 0.35),
    "metal": (0.60, 0.60, 0.62),
    "navyblue": (0.15, 0.15, 0.50),
    "orange": (0.95, 0.50, 0.10),
    "palegreen": (0.45, 0.85, 0.45),
    "pearl": (0.90, 0.88, 0.85),
    "pink": (0.90, 0.55, 0.65),
    "red": (0.80, 0.10, 0.10),
    "silver": (0.75, 0.75, 0.75),
    "white": (0.95, 0.95, 0.95),
    "whitetrans": (0.90, 0.90, 0.90),
    "yellow": (0.90, 0.85, 0.10),
}


@dataclass
class _Lines:
    """The statements of an OBJ file, sorted by kind; one entry per face in the face lists."""

    vertices: list[str] = field(default_factory=list)
    texture_vertices: list[str] = field(default_factory=list)
    corners: list[list[str]] = field(default_factory=list)
    seen_vertices: list[int] = field(default_factory=list)  # `v` lines before the face
    seen_texture_vertices: list[int] = field(default_factory=list)
    face_materials: list[int] = field(default_factory=list)
    face_objects: list[int] = field(default_factory=list)
    object_names: list[str] = field(default_factory=lambda: [""])
    material_names: list[str] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)


def read_obj(store: Store, name: str, tiles: Sequence[str] | None = None) -> TexturedMesh:
    """Reads an OBJ file.

    Faces before any `usemtl` have the mean colour of their corners, if `v` lines give colours.

    Args:
        store: The store that has the file, its material libraries and their textures.
        name: The name of the file.
        tiles: The names of the texture files of the objects in order of appearance (the last one
            serves the rest), instead of the file's own materials.

    Raises:
        ValueError: If a number is malformed or a face names a missing vertex.
    """
    text = "\n".join(read_lines(store.read(name)))
    lines = _sort_lines(text.replace("\\\n", " "))  # a backslash continues a line
    vertices = _numbers(lines.vertices, 3)
    texture_vertices = _numbers(lines.texture_vertices, 2)
    counts = np.array([len(corners) for corners in lines.corners], np.int64)
    corners, texture_corners = _indices(lines, counts)
    if len(corners) and (corners.min() < 0 or corners.max() >= len(vertices)):
        bad = corners.max() if corners.max() >= len(vertices) else corners.min()
        raise ValueError(f"a face names vertex {bad + 1} of {len(vertices)} vertices")
    triangles, polygons = triangulate(vertices[corners], counts)
    face_objects = np.array(lines.face_objects, np.int64)[polygons]
    colors = None if tiles else _vertex_colors(lines.vertices)
    if tiles:
        materials, face_materials = _tile_materials(store, tiles, face_objects)
    else:
        materials = _file_materials(store, name, lines, colors is not None)
        face_materials = np.array(lines.face_materials, np.int64)[polygons]
    uvs = _texture_coordinates(texture_vertices, texture_corners[triangles])
    paint = paint_faces(store, materials, face_materials, uvs)
    if colors is not None:
        plain = face_materials == 0  # the material without a name
        paint["face_rgba"][plain, :3] = colors[corners[triangles[plain]]].mean(axis=1)
    return TexturedMesh(
        vertices=vertices,
        faces=corners[triangles],
        **paint,
        face_objects=face_objects,
        object_names=tuple(lines.object_names),
    )


def _sort_lines(text: str) -> _Lines:
    lines = _Lines()
    material, materials = 0, {"": 0}
    lines.material_names.append("")
    for line in text.split("\n"):
        words = line.split(None, 1)
        if len(words) < 2:
            continue
        keyword, rest = words
        if keyword == "v":
            lines.vertices.append(rest)
        elif keyword == "vt":
            lines.texture_vertices.append(rest)
        elif keyword == "f":
            lines.corners.append(rest.split("#", 1)[0].split())
            lines.seen_vertices.append(len(lines.vertices))
            lines.seen_texture_vertices.append(len(lines.texture_vertices))
            lines.face_materials.append(material)
            lines.face_objects.append(len(lines.object_names) - 1)
        elif keyword in ("g", "o"):
            lines.object_names.append(rest.strip())
        elif keyword == "usemtl":
            material = materials.setdefault(rest.strip(), len(materials))
            if material == len(lines.material_names):
                lines.material_names.append(rest.strip())
        elif keyword == "mtllib":
            lines.libraries.append(rest.strip())
    return lines


def _numbers(lines: list[str], width: int) -> NDArray[np.float64]:
    """Parses the first `width` numbers of each line; a missing second `vt` number is 0."""
    if not lines:
        return np.zeros((0, width))
    try:
        values = np.array(" ".join(lines).split(), np.float64)
        if len(values) == width * len(lines):
            return values.reshape(-1, width)
    except ValueError:
        pass  # a trailing comment, -nan(ind), or nonsense which the slow path names
    rows = [line.split("#", 1)[0].split()[:width] for line in lines]
    if width == 2:
        rows = [row if len(row) == 2 else [*row, "0"] for row in rows]
    short = next((line for line, row in zip(lines, rows, strict=True) if len(row) < width), None)
    if short is not None:
        raise ValueError(f"a vertex line needs {width} numbers: {short!r}")
    return parse_floats(word for row in rows for word in row).reshape(-1, width)


def _vertex_colors(lines: list[str]) -> NDArray[np.float64] | None:
    """Returns [V, 3] sRGB of lines `x y z red green blue`, None unless all lines are such.

    Numbers are shares of 1, or of 255 where all are whole and one is larger than 1.
    """
    if not lines or len(lines[0].split("#", 1)[0].split()) < 6:
        return None
    rows = [line.split("#", 1)[0].split()[3:6] for line in lines]
    if any(len(row) < 3 for row in rows):
        return None
    colors = np.nan_to_num(parse_floats(word for row in rows for word in row)).reshape(-1, 3)
    bytes_ = colors.max() > 1 and (colors == np.floor(colors)).all()
    return np.clip(colors / (255 if bytes_ else 1), 0, 1)


def _indices(
    lines: _Lines, counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns per corner the 0-based vertex row and texture row (-1 where it has none)."""
    words = [word for corners in lines.corners for word in corners]
    raw = _split_corners(words)
    seen = np.repeat(np.array(lines.seen_vertices, np.int64), counts)
    seen_texture = np.repeat(np.array(lines.seen_texture_vertices, np.int64), counts)
    if (raw[:, 0] == 0).any():
        raise ValueError("a face names vertex 0; OBJ counts from 1")
    corners = np.where(raw[:, 0] > 0, raw[:, 0] - 1, seen + raw[:, 0])
    texture = np.where(raw[:, 1] > 0, raw[:, 1] - 1, seen_texture + raw[:, 1])
    return corners, np.where(raw[:, 1] == 0, -1, texture)


def _split_corners(words: list[str]) -> NDArray[np.int64]:
    """Parses corners written v, v/t, v//n or v/t/n to [N, 2] raw numbers, 0 for no texture."""
    if not words:
        return np.zeros((0, 2), np.int64)
    slashes = np.array([word.count("/") for word in words])
    kinds = np.unique(slashes).tolist()
    if len(kinds) == 1:
        return _split_equal(words, kinds[0])
    table = np.zeros((len(words), 2), np.int64)
    for kind in kinds:
        members = np.flatnonzero(slashes == kind)
        table[members] = _split_equal([words[k] for k in members.tolist()], kind)
    return table


def _split_equal(words: list[str], slashes: int) -> NDArray[np.int64]:
    """Parses corners which all have the same number of slashes."""
    joined = " ".join(words)
    if slashes:
        joined = joined.replace("//", "/0/").replace("/ ", "/0 ")
        joined = (joined + "0" if joined.endswith("/") else joined).replace("/", " ")
    table = np.array(joined.split(), np.int64).reshape(-1, slashes + 1)
    return table[:, :2] if slashes else np.pad(table, ((0, 0), (0, 1)))


def _texture_coordinates(
    texture_vertices: NDArray[np.float64], corners: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Returns [F, 3, 2] texture coordinates, NaN for faces with a missing one."""
    known = ((corners >= 0) & (corners < len(texture_vertices))).all(axis=1)
    uvs = np.full((*corners.shape, 2), np.nan)
    uvs[known] = texture_vertices[corners[known]]
    return uvs


def _tile_materials(
    store: Store, tiles: Sequence[str], face_objects: NDArray[np.int64]
) -> tuple[list[Material], NDArray[np.int64]]:
    """Gives each named object, in order, the next texture of `tiles`."""
    materials = [
        Material(name=tile, color=(1.0, 1.0, 1.0), texture=store.find_leaf(tile)) for tile in tiles
    ]
    return materials, np.clip(face_objects - 1, 0, len(tiles) - 1)


def _file_materials(store: Store, name: str, lines: _Lines, colored: bool) -> list[Material]:
    """Returns the materials which the file uses; unknown names get a named or default colour.

    A library of one material serves all names, and the faces without a name unless `colored`.
    """
    library, there = _read_libraries(store, name, lines)
    folded = {label.casefold(): material for label, material in library.items()}
    only = next(iter(library.values())) if len(library) == 1 else None
    materials, unknown, shown = [], [], set(lines.face_materials)
    for row, used in enumerate(lines.material_names):
        found = library.get(used) or folded.get(used.casefold())
        if found is None and (used or not colored):
            found = only
        if found is None:
            color = NAMED_COLORS.get(used.lower(), DEFAULT_COLOR)
            if there and row in shown and used and used.lower() not in NAMED_COLORS:
                unknown.append(used)
            found = Material(name=used, color=color)
        materials.append(found)
    if unknown:
        words = f"no material {', '.join(unknown)} in {', '.join(there)}: grey instead"
        warnings.warn(words, MeshWarning, stacklevel=3)
    return materials


def _read_libraries(
    store: Store, name: str, lines: _Lines
) -> tuple[dict[str, Material], list[str]]:
    """Returns the materials of all libraries of a file, and which libraries were found.

    Without a statement that names one, the library of the file's own name counts.
    """
    own = posixpath.splitext(posixpath.basename(name))[0] + ".mtl"
    library: dict[str, Material] = {}
    there: list[str] = []
    for words in lines.libraries or ([own] if any(lines.material_names) else []):
        found = _find_libraries(store, name, words, own)
        if not found and lines.libraries:
            what = f"no file {words} (the library of its materials)"
            warnings.warn(what, MeshWarning, stacklevel=4)
        for file in dict.fromkeys(found):
            library.update(read_mtl(store, file))
            there.append(posixpath.basename(file))
    return library, there


def _find_libraries(store: Store, name: str, words: str, own: str) -> list[str]:
    """Returns the libraries of a statement: one name with spaces, several names, or the own one."""
    for names in ([words], words.split(), [own]):
        found = [file for word in names if (file := find_companion(store, name, word))]
        if found:
            return found
    return []
