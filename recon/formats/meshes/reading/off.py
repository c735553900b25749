"""OFF files (Geomview's object file format), text or binary, with colours of vertices or faces.

Source: Geomview manual, section "OFF Files".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.formats.meshes.reading.polygon_meshes import mesh_of_polygons
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.formats.stores import Store
from recon.formats.text import parse_floats, read_lines

# What a vertex has besides the position: texture coordinates at its end (ST), a colour (C), a
# normal (N). Many files of the ModelNet set lack the break after the keyword.
KEYWORD = re.compile(r"(?P<parts>(?:ST|C|N|4|n)*)(?:OFF|off)(?![A-Za-z_])")
BINARY = re.compile(rb"\s*(?P<keyword>(?:ST|C|N|4|n)*OFF)[ \t]+BINARY[ \t]*\r?\n")


@dataclass(frozen=True)
class _Layout:
    """How many numbers of a vertex stand between its position and colour, and after the colour."""

    before: int = 0
    after: int = 0
    colored: bool = False


@dataclass(frozen=True, eq=False)
class _Polygons:
    """Corners of all polygons, their number per polygon, and colours [P, 4] if there are any."""

    corners: NDArray[np.int64]
    counts: NDArray[np.int64]
    rgba: NDArray[np.float64] | None = None


def read_off(store: Store, name: str) -> TexturedMesh:
    """Reads an OFF file; colours of faces go before those of vertices.

    Text has a line for every vertex and face, or is free: numbers apart by any white space, which
    then has no colours of faces.

    Args:
        store: The store that has the file.
        name: The name of the file.

    Raises:
        ValueError: If the file is malformed, truncated or not three-dimensional.
    """
    data = store.read(name)
    binary = BINARY.match(data)
    if binary is not None:
        return _read_binary(data[binary.end() :], _layout(binary["keyword"].decode()))
    lines = [line.split("#", 1)[0].split() for line in read_lines(data)]
    rows = [words for words in lines if words]
    layout = _take_keyword(rows)
    words = [word for row in rows for word in row]
    num_vertices, num_faces = _counts(words)
    if num_vertices + num_faces > len(rows) - 1 or len(rows[0]) == 1:
        # The number of edges may be left out.
        return _read_free(words[2 if len(rows[0]) == 2 else 3 :], num_vertices, num_faces, layout)
    vertex_rows, face_rows = rows[1 : 1 + num_vertices], rows[1 + num_vertices :][:num_faces]
    colors = [words[3 + layout.before : len(words) - layout.after] for words in vertex_rows]
    polygons = _polygons(face_rows)
    return mesh_of_polygons(
        vertices=_numbers([words[:3] for words in vertex_rows], 3),
        corners=polygons.corners,
        counts=polygons.counts,
        vertex_rgba=_rgba(colors),
        polygon_rgba=polygons.rgba,
    )


def _take_keyword(rows: list[list[str]]) -> _Layout:
    """Returns the layout of vertices; the keyword is taken off, so that the counts come first.

    A file may begin with its counts at once.
    """
    match = KEYWORD.match(rows[0][0]) if rows else None
    if match is None:
        if rows and len(rows[0]) == 3 and all(map(_is_count, rows[0])):
            return _Layout()
        raise ValueError("not an OFF file: it must begin with OFF, COFF, NOFF or the like")
    rest = [word for word in (rows[0][0][match.end() :], *rows[0][1:]) if word]
    rows[:1] = [rest] if rest else []
    return _layout(match[0])


def _layout(keyword: str) -> _Layout:
    parts = keyword[:-3]
    if "4" in parts or "n" in parts:
        raise ValueError(f"only OFF files with three coordinates can be read, got {keyword}")
    return _Layout(3 if "N" in parts else 0, 2 if "ST" in parts else 0, "C" in parts)


def _is_count(word: str) -> bool:
    return word.isascii() and word.isdigit()


def _counts(words: list[str]) -> tuple[int, int]:
    if len(words) < 2 or not all(map(_is_count, words[:2])):
        got = " ".join(words[:3])
        raise ValueError(f"the numbers of vertices and faces are required, got {got!r}")
    return int(words[0]), int(words[1])


def _numbers(rows: Sequence[Sequence[str]], width: int) -> NDArray[np.float64]:
    short = next((row for row in rows if len(row) != width), None)
    if short is not None:
        raise ValueError(f"a line needs {width} numbers, got {' '.join(short)!r}")
    return parse_floats(word for row in rows for word in row).reshape(-1, width)


def _polygons(rows: list[list[str]]) -> _Polygons:
    """Returns the polygons of lines: a count, as many corners, and perhaps a colour."""
    corners: list[str] = []
    counts: list[int] = []
    colors: list[list[str]] = []
    for words in rows:
        count = int(words[0])
        if not 0 <= count < len(words):
            raise ValueError(f"a face claims {words[0]} corners: {' '.join(words[:20])!r}")
        corners += words[1 : 1 + count]
        counts.append(count)
        colors.append(words[1 + count :])
    return _Polygons(np.array(corners, np.int64), np.array(counts, np.int64), _rgba(colors))


def _rgba(rows: Sequence[Sequence[str]]) -> NDArray[np.float64] | None:
    """Returns [R, 4] colours, or None unless every row has 3 or 4 numbers.

    Numbers are shares of 1 if any is written with a decimal point or none is larger than 1, and of
    255 otherwise.
    """
    if not rows or any(len(row) not in (3, 4) for row in rows):
        return None
    words = [word for row in rows for word in row]
    full = "1" if _are_shares(words) else "255"
    values = _numbers([row if len(row) == 4 else [*row, full] for row in rows], 4)
    return values / float(full)


def _are_shares(words: Sequence[str]) -> bool:
    return any("." in word for word in words) or set(words) <= {"0", "1"}


def _read_free(
    words: list[str], num_vertices: int, num_faces: int, layout: _Layout
) -> TexturedMesh:
    """Reads the words after the counts, whatever lines they are on."""
    width = 3 + layout.before + (4 if layout.colored else 0) + layout.after
    # Nothing is allocated for a mere claim.
    if num_vertices * width + num_faces > len(words):
        raise ValueError(
            f"the file claims {num_vertices} vertices and {num_faces} faces, but {len(words)}"
            " numbers are left"
        )
    end = num_vertices * width
    table = parse_floats(words[:end]).reshape(-1, width)
    polygons = _free_polygons(np.array(words[end:], np.int64), num_faces)
    colors = table[:, 3 + layout.before :][:, :4] if layout.colored else None
    whole = colors is not None and (colors == np.floor(colors)).all() and (colors > 1).any()
    return mesh_of_polygons(
        vertices=table[:, :3],
        corners=polygons.corners,
        counts=polygons.counts,
        vertex_rgba=colors / 255 if colors is not None and whole else colors,
    )


def _free_polygons(numbers: NDArray[np.int64], count: int) -> _Polygons:
    """Returns polygons of numbers: a count and as many corners, again and again."""
    corners: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    counts: list[int] = []
    at = 0
    for _ in range(count):
        if at >= len(numbers) or not 0 <= numbers[at] < len(numbers) - at:
            raise ValueError(f"the file ends after {len(counts)} of {count} faces")
        size = int(numbers[at])
        corners.append(numbers[at + 1 : at + 1 + size])
        counts.append(size)
        at += 1 + size
    return _Polygons(np.concatenate(corners), np.array(counts, np.int64))


def _read_binary(data: bytes, layout: _Layout) -> TexturedMesh:
    """Reads what follows the line `OFF BINARY`: big-endian numbers of 32 bits."""
    whole = np.frombuffer(data, ">i4", len(data) // 4)
    floats = np.frombuffer(data, ">f4", len(data) // 4)
    if len(whole) < 3 or whole[:2].min() < 0:
        raise ValueError("a binary OFF file must begin with three counts >= 0")
    num_vertices, num_faces = int(whole[0]), int(whole[1])
    width = 3 + layout.before + (4 if layout.colored else 0) + layout.after
    if num_vertices * width + 2 * num_faces > len(whole) - 3:
        raise ValueError(
            f"the file claims {num_vertices} vertices and {num_faces} faces, but has"
            f" {len(data)} bytes"
        )
    at = 3 + num_vertices * width
    with np.errstate(invalid="ignore"):  # a NaN may be a signalling one
        table = floats[3:at].astype(np.float64).reshape(-1, width)
    polygons = _binary_polygons(whole[at:], floats[at:], num_faces)
    return mesh_of_polygons(
        vertices=table[:, :3],
        corners=polygons.corners,
        counts=polygons.counts,
        vertex_rgba=table[:, 3 + layout.before :][:, :4] if layout.colored else None,
        polygon_rgba=polygons.rgba,
    )


def _binary_polygons(
    whole: NDArray[np.int32], floats: NDArray[np.float32], count: int
) -> _Polygons:
    """Returns polygons: a count, as many corners, the length of the colour and its numbers."""
    corners: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    counts: list[int] = []
    rgba = np.full((count, 4), np.nan)
    at = 0
    for row in range(count):
        size = int(whole[at]) if at < len(whole) else -1
        end = at + 1 + size
        length = int(whole[end]) if size >= 0 and end < len(whole) else -1
        if length < 0 or end + 1 + length > len(whole):
            raise ValueError(f"the file ends after {row} of {count} faces")
        corners.append(whole[at + 1 : end].astype(np.int64))
        counts.append(size)
        if length in (3, 4):
            rgba[row, 3] = 1
            rgba[row, :length] = floats[end + 1 : end + 1 + length]
        at = end + 1 + length
    colored = count > 0 and not np.isnan(rgba).any()
    return _Polygons(np.concatenate(corners), np.array(counts, np.int64), rgba if colored else None)
