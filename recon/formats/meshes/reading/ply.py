"""PLY files, as text or binary, with colours of vertices or faces and with textures."""

from __future__ import annotations

import codecs
import re
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.formats.meshes.reading.companions import find_companion
from recon.formats.meshes.reading.materials import DEFAULT_COLOR
from recon.formats.meshes.reading.polygon_meshes import PolygonTextures, mesh_of_polygons
from recon.formats.meshes.reading.textured_mesh import MeshWarning, TexturedMesh
from recon.formats.stores import Store
from recon.formats.text import decode_text, parse_floats, read_lines

KINDS = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "int64": "i8",
    "uint64": "u8",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
# Names that writers give to the same thing.
RED_GREEN_BLUE = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
TEXTURE_COORDINATES = (("texture_u", "texture_v"), ("s", "t"), ("u", "v"))
VERTEX_LISTS = ("vertex_indices", "vertex_index")
# A line of its own: the words may also stand in a comment.
END_HEADER = re.compile(rb"(?<=[\r\n])end_header[ \t]*(?:\r\n|\r|\n|$)")


@dataclass
class _Property:
    """A number per row, or with `count` (the type of a list's length) a list of them."""

    name: str
    kind: str
    count: str | None = None


@dataclass
class _Element:
    name: str
    size: int
    properties: list[_Property] = field(default_factory=list)


class _Column(NamedTuple):
    """The values of a property, and of a list how many belong to each row."""

    kind: str
    values: NDArray[np.float64]
    counts: NDArray[np.int64] | None = None


Columns = dict[str, _Column]


def read_ply(store: Store, name: str) -> TexturedMesh:
    """Reads a PLY file.

    Colours of faces go before those of vertices, textures (`comment TextureFile`) before both.

    Args:
        store: The store that has the file and its textures.
        name: The name of the file.

    Raises:
        ValueError: If the file is malformed, truncated or has no faces.
    """
    data = _as_bytes(store.read(name))
    order, elements, images, start = _read_header(data)
    tables = _read_elements(data[start:], elements, order)
    vertex, face = tables.get("vertex", {}), tables.get("face", {})
    for axis in "xyz":
        if axis not in vertex or vertex[axis].counts is not None:
            raise ValueError(f"a vertex must have a number {axis}")
    corners, counts = _polygons(face)
    strips = _strips(tables.get("tristrips", {}))
    if not len(counts) and not len(strips):
        raise ValueError("the file has no faces (a list vertex_indices per face, or tristrips)")
    found = [find_companion(store, name, image) for image in images]
    for image, there in zip(images, found, strict=True):
        if there is None:
            warnings.warn(f"no file {image} (a texture)", MeshWarning, stacklevel=2)
    polygon_rgba = _colors(face) if len(counts) else None
    textures = _textures(store, found, vertex, face, corners, counts)
    if len(strips):
        corners = np.concatenate([corners, strips.reshape(-1)])
        if polygon_rgba is not None:
            grey = np.tile([*DEFAULT_COLOR, 1], (len(strips), 1))
            polygon_rgba = np.concatenate([polygon_rgba, grey])
        if textures is not None:
            textures = textures.extended(len(strips))
        counts = np.concatenate([counts, np.full(len(strips), 3)])
    return mesh_of_polygons(
        vertices=np.stack([vertex[axis].values for axis in "xyz"], axis=1),
        corners=corners,
        counts=counts,
        vertex_rgba=_colors(vertex),
        polygon_rgba=polygon_rgba,
        textures=textures,
    )


def _as_bytes(data: bytes) -> bytes:
    """Returns the file without a mark of its encoding; text of 16 bits becomes UTF-8."""
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return decode_text(data).encode()
    return data.removeprefix(codecs.BOM_UTF8)


def _polygons(face: Columns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the corners of all polygons and how many each one has."""
    listed = next((face[word] for word in VERTEX_LISTS if word in face), None)
    if listed is None or listed.counts is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return _whole(listed.values), listed.counts


def _strips(tables: Columns) -> NDArray[np.int64]:
    """Returns the triangles [T, 3] of strips, which a negative number interrupts."""
    listed = next((tables[word] for word in VERTEX_LISTS if word in tables), None)
    if listed is None or listed.counts is None:
        return np.zeros((0, 3), np.int64)
    rows = _whole(listed.values)
    breaks = np.zeros(len(rows), np.bool_)
    breaks[(np.cumsum(listed.counts) - listed.counts)[listed.counts > 0]] = True  # of each list
    piece = np.cumsum(breaks | (rows < 0))
    kept = rows >= 0
    rows, piece = rows[kept], piece[kept]
    if len(rows) < 3:
        return np.zeros((0, 3), np.int64)
    first = np.searchsorted(piece, piece)  # where the strip of each entry begins
    triangles = np.stack([rows[:-2], rows[1:-1], rows[2:]], axis=1)
    odd = ((np.arange(len(rows)) - first)[:-2] % 2).astype(bool)
    triangles[odd] = triangles[odd, ::-1]  # every second triangle of a strip turns the other way
    whole = piece[:-2] == piece[2:]
    a, b, c = triangles.T
    return triangles[whole & (a != b) & (b != c) & (c != a)]  # repeated corners join strips


def _read_header(data: bytes) -> tuple[str, list[_Element], list[str], int]:
    """Returns the byte order ('' for text), elements, texture names and where the rows begin."""
    end = END_HEADER.search(data)
    if not data.startswith(b"ply") or end is None:
        raise ValueError("not a PLY file: it must begin with 'ply' and have an 'end_header'")
    order: str | None = None
    elements: list[_Element] = []
    images: list[str] = []
    for line in read_lines(data[: end.start()])[1:]:
        words = line.split()
        if words[:1] == ["format"]:
            order = ORDERS.get(words[1] if len(words) > 1 else "")
        elif words[:1] == ["element"]:
            elements.append(_element(words))
        elif words[:1] == ["property"]:
            if not elements:
                raise ValueError(f"a property before any element: {line.strip()!r}")
            elements[-1].properties.append(_property(words))
        elif words[:2] and [word.lower() for word in words[:2]] == ["comment", "texturefile"]:
            images.append(line.split(None, 2)[2] if len(words) > 2 else "")
    if order is None:
        raise ValueError(f"the format must be one of {', '.join(ORDERS)}")
    # A binary row may begin with the byte of a line feed: the header's first line tells its ends.
    alone = data[3:5].startswith(b"\r") and data[3:5] != b"\r\n"
    start = end.end() - (1 if alone and end[0].endswith(b"\r\n") else 0)
    return order, elements, images, start


def _element(words: Sequence[str]) -> _Element:
    if len(words) != 3 or not words[2].isascii() or not words[2].isdigit():
        raise ValueError(f"an element needs a name and a count, got {' '.join(words)!r}")
    return _Element(words[1], int(words[2]))


def _property(words: Sequence[str]) -> _Property:
    kinds = words[1:-1] if words[1:2] != ["list"] else words[2:-1]
    if len(kinds) != len(words[1:]) // 2 or any(kind not in KINDS for kind in kinds):
        raise ValueError(f"unknown property {' '.join(words)!r}")
    if len(kinds) == 1:
        return _Property(words[-1], KINDS[kinds[0]])
    return _Property(words[-1], KINDS[kinds[1]], KINDS[kinds[0]])


def _read_elements(data: bytes, elements: Sequence[_Element], order: str) -> dict[str, Columns]:
    """Reads the rows of all elements; text becomes float64 numbers and is then read alike."""
    if not order:
        try:
            data = parse_floats(decode_text(data).split()).tobytes()
        except ValueError as error:
            raise ValueError(f"the text is not made of numbers: {error}") from error
    tables: dict[str, Columns] = {}
    start = 0
    for element in elements:
        formats = [
            (_dtype(prop.kind, order), None if prop.count is None else _dtype(prop.count, order))
            for prop in element.properties
        ]
        smallest = sum((count or value).itemsize for value, count in formats)
        if element.size * smallest > len(data) - start:
            raise ValueError(
                f"the file claims {element.size} rows of {element.name}, at least"
                f" {element.size * smallest} bytes, but {len(data) - start} are left"
            )
        if smallest:
            arrays, start = _read_rows(data, start, element, formats)
            tables[element.name] = {
                prop.name: _Column(prop.kind, *array)
                for prop, array in zip(element.properties, arrays, strict=True)
            }
    return tables


def _dtype(kind: str, order: str) -> np.dtype:
    return np.dtype(order + kind if order else "=f8")


Formats = list[tuple[np.dtype, np.dtype | None]]
Arrays = list[tuple[NDArray[np.float64], NDArray[np.int64] | None]]


def _read_rows(data: bytes, start: int, element: _Element, formats: Formats) -> tuple[Arrays, int]:
    """Returns the values of each property and where the rows end.

    Rows are mostly alike (all lists of one length): then they are read at once.
    """
    lengths = _first_lengths(data, start, formats) if element.size else [0] * len(formats)
    fields: list[tuple[str, np.dtype] | tuple[str, np.dtype, tuple[int]]] = []
    for index, (value, count) in enumerate(formats):
        if count is None:
            fields.append((f"v{index}", value))
        else:
            fields += [(f"n{index}", count), (f"v{index}", value, (lengths[index],))]
    dtype = np.dtype(fields)
    end = start + element.size * dtype.itemsize
    if end <= len(data):
        table = np.frombuffer(data, dtype, element.size, start)
        lists = [index for index, (_, count) in enumerate(formats) if count is not None]
        if all((table[f"n{index}"] == lengths[index]).all() for index in lists):
            arrays: Arrays = []
            for index, (_, count) in enumerate(formats):
                with np.errstate(invalid="ignore"):  # a NaN may be a signalling one
                    values = table[f"v{index}"].astype(np.float64).reshape(-1)
                counts = np.full(element.size, lengths[index], np.int64)
                arrays.append((values, None if count is None else counts))
            return arrays, end
    return _read_unlike_rows(data, start, element, formats)


def _first_lengths(data: bytes, start: int, formats: Formats) -> list[int]:
    """Returns the lengths of the lists of the first row, 0 for single numbers."""
    lengths = []
    for value, count in formats:
        if count is None:
            lengths.append(0)
            start += value.itemsize
        else:
            if start + count.itemsize > len(data):
                raise ValueError("the file ends within the first row of a list")
            number = float(np.frombuffer(data, count, 1, start)[0])
            lengths.append(_length(number, value, len(data) - start))
            start += count.itemsize + lengths[-1] * value.itemsize
    return lengths


def _length(number: float, value: np.dtype, left: int) -> int:
    """Returns the length of a list, checked against the bytes that are left."""
    if not 0 <= number <= left / value.itemsize or number != int(number):
        raise ValueError(
            f"a list claims {number:g} entries of {value.itemsize} bytes, {left} bytes are left"
        )
    return int(number)


def _read_unlike_rows(
    data: bytes, start: int, element: _Element, formats: Formats
) -> tuple[Arrays, int]:
    """Reads rows whose lists differ in length, one by one."""
    values: list[list[float]] = [[] for _ in formats]
    counts: list[list[int]] = [[] for _ in formats]
    codes = [(_code(value), None if count is None else _code(count)) for value, count in formats]
    try:
        for _ in range(element.size):
            for index, (value, count) in enumerate(codes):
                length = 1
                if count is not None:
                    (number,) = struct.unpack_from(count, data, start)
                    start += struct.calcsize(count)
                    length = _length(number, formats[index][0], len(data) - start)
                    counts[index].append(length)
                row = struct.Struct(f"{value[0]}{length}{value[1]}")
                values[index] += row.unpack_from(data, start)
                start += row.size
    except struct.error as error:
        raise ValueError(f"the file ends within the rows of {element.name}") from error
    arrays: Arrays = [
        (np.array(v, np.float64), None if count is None else np.array(c, np.int64))
        for v, c, (_, count) in zip(values, counts, codes, strict=True)
    ]
    return arrays, start


def _code(dtype: np.dtype) -> str:
    """Returns the code of the `struct` module for a number."""
    order = ">" if dtype.byteorder == ">" else "<" if dtype.byteorder == "<" else "="
    return order + {"i4": "i", "u4": "I", "i8": "q", "u8": "Q"}.get(dtype.str[1:], dtype.char)


def _whole(values: NDArray[np.float64]) -> NDArray[np.int64]:
    if not (np.abs(values) < 2**53).all() or (values != np.floor(values)).any():
        raise ValueError("a face names a vertex by a number that is not whole")
    return values.astype(np.int64)


def _colors(columns: Columns) -> NDArray[np.float64] | None:
    """Returns [R, 4] sRGB and opacity in [0, 1], or None when the rows have no colour."""
    names = next((n for n in RED_GREEN_BLUE if all(word in columns for word in n)), None)
    if names is None:
        return None
    channels = [_scaled(columns[word]) for word in names]
    alpha = _scaled(columns["alpha"]) if "alpha" in columns else np.ones_like(channels[0])
    return np.stack([*channels, alpha], axis=1)


def _scaled(column: _Column) -> NDArray[np.float64]:
    """Returns whole numbers as shares of what their type can hold (of a byte, if it is wider)."""
    if column.counts is not None:
        raise ValueError("a colour must be a number per channel, not a list")
    if column.kind.startswith("f"):
        return column.values
    return column.values / (65535 if column.kind == "u2" else 255)


def _textures(
    store: Store,
    images: Sequence[str | None],
    vertex: Columns,
    face: Columns,
    corners: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> PolygonTextures | None:
    """Returns what textures there are: coordinates of the faces' corners, else of the vertices."""
    uvs = None
    names = next((n for n in TEXTURE_COORDINATES if n[0] in vertex and n[1] in vertex), None)
    own = face.get("texcoord")
    if own is not None and own.counts is not None and (own.counts == 2 * counts).all():
        uvs = own.values.reshape(-1, 2)
    elif names is not None:
        table = np.stack([vertex[word].values for word in names], axis=1)
        inside = (corners >= 0) & (corners < len(table))  # the surface names those that are not
        uvs = table[np.where(inside, corners, 0)]
    if uvs is None or not any(images):
        return None
    number = face.get("texnumber")
    chosen = np.zeros(len(counts), np.int64)
    if number is not None and number.counts is None:
        chosen = np.nan_to_num(number.values, nan=-1, posinf=-1, neginf=-1).astype(np.int64)
    chosen[~np.isin(chosen, [row for row, image in enumerate(images) if image])] = -1
    return PolygonTextures(store, [image or "" for image in images], chosen, uvs)
