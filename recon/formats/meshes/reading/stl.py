"""STL files, binary or as text: triangles without colours."""

from __future__ import annotations

import codecs
import re

import numpy as np
from numpy.typing import NDArray

from recon.formats.meshes.reading.polygon_meshes import mesh_of_polygons
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.formats.stores import Store
from recon.formats.text import decode_text, parse_floats

TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
HEADER_BYTES = 84  # any 80 bytes and the number of triangles
VERTEX = re.compile(r"\bvertex\s+(\S+)\s+(\S+)\s+(\S+)", re.IGNORECASE)
FACET = re.compile(rb"\b(?:facet|endsolid)\b", re.IGNORECASE)
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
SNIFFED = 4096  # bytes at the beginning; a binary file has zeros among the first 84


def read_stl(store: Store, name: str) -> TexturedMesh:
    """Reads an STL file; its triangles are grey, and attributes some writers use are passed over.

    Args:
        store: The store that has the file.
        name: The name of the file.

    Raises:
        ValueError: If the file is malformed or truncated.
    """
    data = store.read(name)
    vertices = _text_vertices(data) if _is_text(data) else _binary_vertices(data)
    count = len(vertices) // 3
    return mesh_of_polygons(vertices, np.arange(3 * count), np.full(count, 3))


def _is_text(data: bytes) -> bool:
    """Tells text from binary files, whose header may also begin with 'solid'.

    Text has words of the format and no control characters, which the count of triangles and the
    attributes of binary files are made of; bytes after the last triangle tell nothing.
    """
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return True
    start = data[:512].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if not start.startswith((b"solid", b"facet")):
        return False
    words = FACET.search(data) is not None or not data[HEADER_BYTES:].strip()
    return words and CONTROL.search(data[:SNIFFED]) is None


def _claimed(data: bytes) -> int:
    return int.from_bytes(data[80:HEADER_BYTES], "little")


def _binary_vertices(data: bytes) -> NDArray[np.float64]:
    if len(data) < HEADER_BYTES:
        raise ValueError(f"an STL file has at least {HEADER_BYTES} bytes, got {len(data)}")
    there = (len(data) - HEADER_BYTES) // TRIANGLE.itemsize
    if _claimed(data) > there:
        raise ValueError(f"the file claims {_claimed(data)} triangles, its size allows {there}")
    table = np.frombuffer(data, TRIANGLE, _claimed(data), HEADER_BYTES)
    with np.errstate(invalid="ignore"):  # a NaN may be a signalling one
        return table["corners"].reshape(-1, 3).astype(np.float64)


def _text_vertices(data: bytes) -> NDArray[np.float64]:
    text = decode_text(data)
    found = VERTEX.findall(text)
    facets = len(re.findall(r"\bendfacet\b", text, re.IGNORECASE))
    if len(found) != 3 * facets:
        raise ValueError(f"{len(found)} vertices do not make {facets} complete triangles")
    return parse_floats(word for row in found for word in row).reshape(-1, 3)
