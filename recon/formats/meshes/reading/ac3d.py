"""AC3D files (.ac, and .acc of the TORCS racing games with triangle strips)."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from recon.formats.meshes.reading.companions import find_companion
from recon.formats.meshes.reading.materials import Material, paint_faces
from recon.formats.meshes.reading.polygons import triangulate
from recon.formats.meshes.reading.textured_mesh import MeshWarning, TexturedMesh
from recon.formats.stores import Store
from recon.formats.text import decode_text, split_lines

POLYGON, STRIP = 0, 4  # low four bits of a SURF's flags; 1 and 2 are lines
# Last words of a TORCS texture line that is a second layer (shadows, tyre marks, tiling).
SECOND_LAYERS = ("tiled", "skids", "shad")


@dataclass
class _Frame:
    """A parent whose children are being read: row-vector placement v @ rotation + shift."""

    rotation: NDArray[np.float64]
    shift: NDArray[np.float64]
    hidden: bool
    children_left: int


@dataclass
class _Object:
    """One OBJECT block."""

    name: str = ""
    texture: str | None = None
    repeat: NDArray[np.float64] = field(default_factory=lambda: np.ones(2))
    offset: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    rotation: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    shift: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    vertices: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    corners: list[int] = field(default_factory=list)
    uvs: list[tuple[float, float]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    materials: list[int] = field(default_factory=list)
    children: int = 0

    def turn(self) -> None:
        """Reverses the order of every surface's corners."""
        ends = np.cumsum(self.counts, dtype=np.int64)
        order = np.repeat(2 * ends - np.array(self.counts, np.int64) - 1, self.counts)
        rows = (order - np.arange(len(order))).tolist()
        self.corners = [self.corners[row] for row in rows]
        self.uvs = [self.uvs[row] for row in rows]


class _Reader:
    """Walks the lines of one file."""

    def __init__(
        self, store: Store, name: str, skip: str | None, texture_folder: str | None
    ) -> None:
        self._store, self._name, self._texture_folder = store, name, texture_folder
        self._skip = re.compile(skip, re.IGNORECASE) if skip else None
        data = store.read(name)
        text = decode_text(data)
        # `data` gives a number of bytes: of UTF-8 unless the file is in the older Latin-1.
        is_utf8 = len(text.encode()) + 3 >= len(data) >= len(text.encode())
        self._encoding = "utf-8" if is_utf8 else "latin-1"
        self._lines = split_lines(text)
        self._next = 0
        self.missing: dict[str, None] = {}
        if not self._lines or not self._lines[0].startswith("AC3D"):
            raise ValueError("not an AC3D file: it must begin with 'AC3D'")

    def _line(self) -> str | None:
        """Returns the next line that is not blank, or None at the end."""
        while self._next < len(self._lines):
            line = self._lines[self._next].strip()
            self._next += 1
            if line:
                return line
        return None

    def _block(self, count: int, what: str) -> list[list[str]]:
        """Returns the words of the next `count` lines that are not blank."""
        block: list[list[str]] = []
        while len(block) < count:
            line = self._line()
            if line is None:
                raise ValueError(f"the file ends after {len(block)} of {count} {what}")
            block.append(line.split())
        return block

    def read(self) -> tuple[list[Material], list[tuple[_Object, _Frame]]]:
        """Returns the materials and the objects that are shown, each with its placement."""
        materials: list[Material] = []
        shown: list[tuple[_Object, _Frame]] = []
        ancestors = [_Frame(np.eye(3), np.zeros(3), False, -1)]  # the root never runs out
        while (line := self._line()) is not None:
            if line.startswith("MATERIAL"):
                materials.append(_material(line))
            elif line.startswith("OBJECT"):
                item = self._object()
                frame = self._place(item, ancestors[-1])
                if not frame.hidden:
                    shown.append((item, frame))
                ancestors.append(frame)
                while ancestors[-1].children_left == 0:
                    ancestors.pop()
        return materials, shown

    def _place(self, item: _Object, parent: _Frame) -> _Frame:
        parent.children_left -= 1
        skipped = self._skip is not None and self._skip.search(item.name) is not None
        return _Frame(
            rotation=item.rotation @ parent.rotation,
            shift=item.shift @ parent.rotation + parent.shift,
            hidden=parent.hidden or skipped,
            children_left=max(item.children, 0),
        )

    def _object(self) -> _Object:
        item = _Object()
        while (line := self._line()) is not None:
            keyword, _, rest = line.partition(" ")
            if keyword == "kids":
                item.children = int(rest)
                return item
            if keyword == "name":
                item.name = _unquoted(rest)
            elif keyword == "data":
                self._skip_data(int(rest))
            elif keyword == "texture":
                item.texture = item.texture or self._texture(rest)
            elif keyword == "texrep":
                item.repeat = np.array(rest.split()[:2], np.float64)
            elif keyword == "texoff":
                item.offset = np.array(rest.split()[:2], np.float64)
            elif keyword == "rot":
                item.rotation = np.array(rest.split()[:9], np.float64).reshape(3, 3)
            elif keyword == "loc":
                item.shift = np.array(rest.split()[:3], np.float64)
            elif keyword == "subdiv" and rest.split()[:1] not in ([], ["0"]):
                raise ValueError(
                    f"object {item.name!r} is a subdivision surface (subdiv {rest}), which cannot"
                    " be read; save it with its surfaces divided"
                )
            elif keyword == "numvert":
                rows = [words[:3] for words in self._block(int(rest), "vertices")]
                item.vertices = np.array(rows, np.float64).reshape(-1, 3)
            elif keyword == "numsurf":
                self._surfaces(item, int(rest))
        return item

    def _skip_data(self, length: int) -> None:
        """Skips a text of `length` bytes, which may span lines."""
        skipped = -1
        while skipped < length and self._next < len(self._lines):
            skipped += len(self._lines[self._next].encode(self._encoding, "replace")) + 1
            self._next += 1

    def _texture(self, words: str) -> str | None:
        if words.endswith(SECOND_LAYERS):
            return None
        path = _unquoted(words)
        leaf = path.replace("\\", "/").rsplit("/", 1)[-1]
        folders = [f"{self._texture_folder}/{leaf}"] if self._texture_folder else []
        for written in (*folders, path):
            if found := find_companion(self._store, self._name, written):
                return found
        self.missing.setdefault(path, None)
        return None

    def _surfaces(self, item: _Object, count: int) -> None:
        for _ in range(count):
            line = self._line()
            if line is None or not line.startswith("SURF"):
                # Some exporters count surfaces which they then do not write.
                self._next -= line is not None
                return
            kind = int(line.split()[1], 16) & 0xF
            material = 0
            while (line := self._line()) is not None:
                keyword, _, rest = line.partition(" ")
                if keyword == "mat":
                    material = int(rest)
                elif keyword == "refs":
                    self._corners(item, kind, material, int(rest))
                    break

    def _corners(self, item: _Object, kind: int, material: int, count: int) -> None:
        rows = self._block(count, "surface corners")
        corners = [int(row[0]) for row in rows]
        uvs = [(float(r[1]), float(r[2])) if len(r) > 2 else (0.0, 0.0) for r in rows]
        order = list(range(count))
        if kind == STRIP:
            strips = [(k, k + 1, k + 2) if k % 2 == 0 else (k + 1, k, k + 2) for k in order[:-2]]
            order = [k for triangle in strips for k in triangle]
            counts = [3] * len(strips)
        else:
            counts = [count] if kind == POLYGON else []
            order = order if counts else []
        item.corners += [corners[k] for k in order]
        item.uvs += [uvs[k] for k in order]
        item.counts += counts
        item.materials += [material] * len(counts)


def read_ac3d(
    store: Store, name: str, skip: str | None = None, texture_folder: str | None = None
) -> TexturedMesh:
    """Reads an AC3D file.

    Args:
        store: The store that has the file and its textures.
        name: The name of the file.
        skip: A regular expression, case ignored, of object names to leave out with their children.
        texture_folder: A folder relative to the file in which textures are looked up first.

    Raises:
        ValueError: If the text is not AC3D, ends early, or a surface names a missing vertex.
    """
    reader = _Reader(store, name, skip, texture_folder)
    materials, shown = reader.read()
    for texture in reader.missing:
        warnings.warn(f"no file {texture} (a texture)", MeshWarning, stacklevel=2)
    shown = [(item, frame) for item, frame in shown if len(item.vertices)]
    points, corners, start = [np.zeros((0, 3))], [np.zeros(0, np.int64)], 0
    for item, frame in shown:
        own = np.array(item.corners, np.int64)
        if len(own) and (own.min() < 0 or own.max() >= len(item.vertices)):
            raise ValueError(
                f"object {item.name!r}: a surface names vertex {own.max()} (counted from 0)"
                f" of {len(item.vertices)} vertices"
            )
        if np.linalg.det(frame.rotation) < 0:  # a mirrored object: its outer sides stay outside
            item.turn()
            own = np.array(item.corners, np.int64)
        points.append(item.vertices @ frame.rotation + frame.shift)
        corners.append(own + start)
        start += len(item.vertices)
    return _coloured(
        store, materials, [i for i, _ in shown], np.concatenate(points), np.concatenate(corners)
    )


def _coloured(
    store: Store,
    materials: list[Material],
    items: list[_Object],
    vertices: NDArray[np.float64],
    corners: NDArray[np.int64],
) -> TexturedMesh:
    """Cuts the surfaces of all objects into triangles and colours them."""
    counts = np.array([n for item in items for n in item.counts], np.int64)
    triangles, polygons = triangulate(vertices[corners], counts)
    owners = np.repeat(np.arange(len(items)), [len(item.counts) for item in items])
    palette: dict[tuple[int, str | None], int] = {}
    chosen = [
        palette.setdefault((material, item.texture), len(palette))
        for item in items
        for material in item.materials
    ]
    uvs = [np.array(i.uvs, np.float64).reshape(-1, 2) * i.repeat + i.offset for i in items]
    flat_uvs = np.concatenate([np.zeros((0, 2)), *uvs])
    paint = paint_faces(
        store,
        [_textured(materials, index, texture) for index, texture in palette],
        np.array(chosen, np.int64)[polygons],
        flat_uvs[triangles],
    )
    return TexturedMesh(
        vertices=vertices,
        faces=corners[triangles],
        **paint,
        face_objects=owners[polygons].astype(np.int64),
        object_names=tuple(item.name for item in items),
    )


def _textured(materials: list[Material], index: int, texture: str | None) -> Material:
    base = materials[index] if 0 <= index < len(materials) else Material()
    return replace(base, texture=texture)


def _material(line: str) -> Material:
    """Parses `MATERIAL "name" rgb r g b amb ... trans t`."""
    rgb = re.search(r"\brgb\s+(\S+)\s+(\S+)\s+(\S+)", line)
    clear = re.search(r"\btrans\s+(\S+)", line)
    name = re.search(r'"([^"]*)"', line)
    return Material(
        name=name[1] if name else "",
        color=(float(rgb[1]), float(rgb[2]), float(rgb[3])) if rgb else Material().color,
        alpha=1 - float(clear[1]) if clear else 1.0,
    )


def _unquoted(words: str) -> str:
    """Returns the text between the first two double quotes, or the first word without them."""
    quoted = re.search(r'"([^"]*)"', words)
    return quoted[1] if quoted else words.strip().split(" ")[0]
