"""OFF files (Geomview's object file format) as text, with colours of vertices or faces."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recon.formats.meshes.reading.polygon_surfaces import polygon_surface
from recon.formats.meshes.reading.surfaces import Surface
from recon.formats.stores import Store

# What a vertex line has besides the position: texture coordinates at its end (ST), a colour (C), a
# normal (N). Many files of the ModelNet set lack the break after the keyword.
KEYWORD = re.compile(r"(?P<parts>(?:ST|C|N|4|n)*)(?:OFF|off)(?![A-Za-z_])")


def read_off(store: Store, name: str) -> Surface:
    """Read an OFF file; colours of faces go before those of vertices.

    Args:
        store: where the file is.
        name: the file.

    Raises:
        ValueError: if the file is malformed, truncated, binary or not three-dimensional.
    """
    text = store.read(name).decode("latin-1")
    lines = [line.split("#", 1)[0].split() for line in text.splitlines()]
    rows = [words for words in lines if words]
    before, after = _layout(rows)
    num_vertices, num_faces = _counts(rows)
    # Every vertex and every face has a line of its own: nothing is allocated for a mere claim.
    if num_vertices + num_faces > len(rows) - 1:
        raise ValueError(
            f"the file claims {num_vertices} vertices and {num_faces} faces on"
            f" {num_vertices + num_faces} lines, but {len(rows) - 1} are left"
        )
    vertex_rows, face_rows = rows[1 : 1 + num_vertices], rows[1 + num_vertices :][:num_faces]
    colors = [words[3 + before : len(words) - after] for words in vertex_rows]
    corners, counts, face_colors = _faces(face_rows)
    return polygon_surface(
        vertices=_numbers([words[:3] for words in vertex_rows], 3),
        corners=corners,
        counts=counts,
        vertex_rgba=_rgba(colors),
        polygon_rgba=_rgba(face_colors),
    )


def _layout(rows: list[list[str]]) -> tuple[int, int]:
    """Return how many numbers stand between position and colour, and after the colour.

    The keyword is taken off the rows, so that the first one becomes the counts.
    """
    match = KEYWORD.match(rows[0][0]) if rows else None
    if match is None:
        raise ValueError("not an OFF file: it must begin with OFF, COFF, NOFF or the like")
    parts = match["parts"]
    if "4" in parts or "n" in parts or rows[0][1:2] == ["BINARY"]:
        raise ValueError("only OFF files as text with three coordinates can be read")
    rest = [word for word in (rows[0][0][match.end() :], *rows[0][1:]) if word]
    rows[:1] = [rest] if rest else []
    return 3 if "N" in parts else 0, 2 if "ST" in parts else 0


def _counts(rows: list[list[str]]) -> tuple[int, int]:
    words = rows[0] if rows else []
    if len(words) < 2 or not all(word.isascii() and word.isdigit() for word in words[:2]):
        raise ValueError(f"the numbers of vertices and faces are required, got {' '.join(words)!r}")
    return int(words[0]), int(words[1])


def _numbers(rows: Sequence[Sequence[str]], width: int) -> NDArray[np.float64]:
    short = next((row for row in rows if len(row) != width), None)
    if short is not None:
        raise ValueError(f"a line needs {width} numbers, got {' '.join(short)!r}")
    return np.array(rows, np.float64).reshape(-1, width)


def _faces(
    rows: list[list[str]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[list[str]]]:
    """Return the corners, their number per face, and the words of the faces' colours."""
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
    return np.array(corners, np.int64), np.array(counts, np.int64), colors


def _rgba(rows: Sequence[Sequence[str]]) -> NDArray[np.float64] | None:
    """Return [R, 4] colours, or None unless every row has 3 or 4 numbers.

    Numbers are shares of 1 if any is written with a decimal point, and of 255 otherwise.
    """
    if not rows or any(len(row) not in (3, 4) for row in rows):
        return None
    full = "1.0" if any("." in word for row in rows for word in row) else "255"
    values = _numbers([row if len(row) == 4 else [*row, full] for row in rows], 4)
    return values / float(full)
