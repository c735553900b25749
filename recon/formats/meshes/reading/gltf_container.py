"""The outer layers of glTF 2.0 files: chunks of a .glb, buffers, accessors and images."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from recon.formats.meshes.reading.companions import find_companion
from recon.formats.stores import Store, join_name
from recon.formats.text import decode_text

COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
# Extensions without which a file cannot be shown, of those that are read or change no shape and no
# base colour. Compressions are not among them.
SUPPORTED = (
    "EXT_mesh_gpu_instancing",
    "EXT_texture_webp",
    "KHR_lights_punctual",
    "KHR_materials_anisotropy",
    "KHR_materials_clearcoat",
    "KHR_materials_dispersion",
    "KHR_materials_emissive_strength",
    "KHR_materials_ior",
    "KHR_materials_iridescence",
    "KHR_materials_pbrSpecularGlossiness",
    "KHR_materials_sheen",
    "KHR_materials_specular",
    "KHR_materials_transmission",
    "KHR_materials_unlit",
    "KHR_materials_variants",
    "KHR_materials_volume",
    "KHR_mesh_quantization",
    "KHR_texture_transform",
    "KHR_xmp_json_ld",
)
# An accessor without data claims as many zeros as it likes; a scene of more has too many triangles.
MAX_ZEROS = 60_000_000


class Container:
    """A glTF document with its binary data.

    Args:
        store: The store that has the file, its buffers and its textures.
        name: The name of the file.

    Raises:
        ValueError: If it is truncated, not glTF 2, or requires what cannot be read.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        data = store.read(name)
        text, self._binary = _chunks(data) if data[:4] == b"glTF" else (data, b"")
        try:
            self.json = as_object(json.loads(decode_text(text), parse_float=_number))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"not a glTF file: {error}") from error
        version = str(as_object(self.json.get("asset", {})).get("version", ""))
        if not version.startswith("2"):
            raise ValueError(f"only glTF 2 can be read, the file is of version {version!r}")
        for extension in as_list(self.json.get("extensionsRequired", [])):
            if extension not in SUPPORTED:
                raise ValueError(
                    f"the file requires the extension {extension}, which cannot be read; save it"
                    " without compression and extensions"
                )
        self._buffers: dict[int, bytes] = {}

    def entries(self, key: str) -> list[Any]:
        """Returns one of the document's lists, empty when it has none."""
        return as_list(self.json.get(key, []))

    def accessor(self, index: Any, width: int | None = None) -> NDArray[np.float64]:
        """Returns the rows [count, width] of an accessor; normalised integers become shares of 1.

        Args:
            index: The index of the accessor.
            width: The required number of columns, None for any.

        Raises:
            ValueError: If it does not lie within its buffer or cannot be read.
        """
        entry = as_object(pick(self.entries("accessors"), index, "accessor"))
        kind, columns = COMPONENTS.get(entry["componentType"]), WIDTHS.get(entry["type"])
        if kind is None or columns is None or (width is not None and columns != width):
            raise ValueError(f"accessor {index} has {entry['type']} of {entry['componentType']}")
        values = self._dense(index, entry, np.dtype(kind), columns)
        if "sparse" in entry:
            values = self._substituted(index, as_object(entry["sparse"]), values, np.dtype(kind))
        if entry.get("normalized") and np.dtype(kind).kind != "f":
            values = np.maximum(values / np.iinfo(kind).max, -1)
        return values

    def _dense(
        self, index: Any, entry: dict[str, Any], dtype: np.dtype, columns: int
    ) -> NDArray[np.float64]:
        """Returns the rows of an accessor without its substitutions, zeros where it has no data."""
        count = _size(entry["count"])
        if "bufferView" in entry:
            return self._rows(f"accessor {index}", entry, dtype, count, columns)
        if count * columns > MAX_ZEROS:
            raise ValueError(f"accessor {index} claims {count} rows without any data")
        return np.zeros((count, columns))

    def _substituted(
        self, index: Any, sparse: dict[str, Any], values: NDArray[np.float64], dtype: np.dtype
    ) -> NDArray[np.float64]:
        """Returns the rows of an accessor with those which its sparse part gives in their place."""
        count, name = _size(sparse["count"]), f"the sparse part of accessor {index}"
        places = as_object(sparse["indices"])
        kind = np.dtype(COMPONENTS[places["componentType"]])
        rows = self._rows(name, places, kind, count, 1)[:, 0].astype(np.int64)
        if count and (rows.min() < 0 or rows.max() >= len(values)):
            raise ValueError(f"{name} names row {rows.max()} of {len(values)}")
        given = as_object(sparse["values"])
        values[rows] = self._rows(name, given, dtype, count, values.shape[1])
        return values

    def _rows(
        self, name: str, entry: dict[str, Any], dtype: np.dtype, count: int, columns: int
    ) -> NDArray[np.float64]:
        """Returns rows [count, columns] that lie in a buffer view."""
        data, stride = self._view(entry["bufferView"])
        stride = stride or dtype.itemsize * columns
        start = _size(entry.get("byteOffset", 0))
        # Checked before anything is allocated: a count may claim what the file does not hold.
        if count and start + (count - 1) * stride + dtype.itemsize * columns > len(data):
            raise ValueError(
                f"{name} claims {count} rows every {stride} bytes from byte {start},"
                f" its buffer view has {len(data)} bytes"
            )
        if not count:
            return np.zeros((0, columns))
        table = np.ndarray((count, columns), dtype, data, start, (stride, dtype.itemsize))
        with np.errstate(invalid="ignore"):  # a NaN may be a signalling one
            return table.astype(np.float64)

    def image(self, index: Any) -> bytes:
        """Returns the encoded bytes of an image.

        Raises:
            ValueError, OSError: If the bytes are not found.
        """
        entry = as_object(pick(self.entries("images"), index, "image"))
        if "bufferView" in entry:
            return bytes(self._view(entry["bufferView"])[0])
        return self._read(entry["uri"])

    def missing_image(self, index: Any) -> str | None:
        """Returns the name of the file that an image should be in; None if it is there."""
        uri = str(as_object(pick(self.entries("images"), index, "image")).get("uri", "data:"))
        if uri.startswith("data:") or find_companion(self._store, self._name, uri) is not None:
            return None
        return uri

    def _view(self, index: Any) -> tuple[memoryview, int]:
        """Returns the bytes of a buffer view and its stride, 0 where it has none."""
        entry = as_object(pick(self.entries("bufferViews"), index, "buffer view"))
        data = self._buffer(entry["buffer"])
        start, length = _size(entry.get("byteOffset", 0)), _size(entry["byteLength"])
        if start + length > len(data):
            raise ValueError(
                f"buffer view {index} claims bytes {start} to {start + length} of {len(data)}"
            )
        return memoryview(data)[start : start + length], _size(entry.get("byteStride", 0))

    def _buffer(self, index: Any) -> bytes:
        entry = as_object(pick(self.entries("buffers"), index, "buffer"))
        if "uri" not in entry and index != 0:
            raise ValueError(f"buffer {index} names no data; compressed files cannot be read")
        if index not in self._buffers:
            self._buffers[index] = self._read(entry["uri"]) if "uri" in entry else self._binary
        return self._buffers[index]

    def _read(self, uri: Any) -> bytes:
        """Returns what a URI names: data in itself, or a file of the store."""
        if str(uri).startswith("data:"):
            try:
                return base64.b64decode(str(uri).partition(",")[2], validate=True)
            except binascii.Error as error:
                raise ValueError(f"a data URI is not base64: {error}") from error
        found = find_companion(self._store, self._name, str(uri))
        return self._store.read(found or join_name(self._name, unquote(str(uri))))


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    """Returns the JSON and the binary chunk of a .glb file."""
    total = int.from_bytes(data[8:12], "little")
    if total > len(data) or len(data) < 20:
        raise ValueError(f"the file is truncated: it claims {total} bytes and has {len(data)}")
    chunks: dict[bytes, bytes] = {}
    start = 12
    while start + 8 <= total:
        length, kind = (
            int.from_bytes(data[start : start + 4], "little"),
            data[start + 4 : start + 8],
        )
        if start + 8 + length > total:
            raise ValueError(f"a chunk claims {length} bytes at byte {start}, the file has {total}")
        chunks.setdefault(kind, data[start + 8 : start + 8 + length])
        start += 8 + length
    return chunks.get(b"JSON", b""), chunks.get(b"BIN\0", b"")


def _number(text: str) -> float | int:
    """Returns a number of the document; some exporters write whole numbers as 0.0."""
    value = float(text)
    return int(value) if value.is_integer() else value


def pick(entries: Sequence[Any], index: Any, what: str) -> Any:
    """Returns the entry at an index of one of the document's lists.

    Raises:
        ValueError: If the list has no such entry.
    """
    if type(index) is not int or not 0 <= index < len(entries):
        raise ValueError(f"{what} {index!r} does not exist, there are {len(entries)}")
    return entries[index]


def as_object(value: Any, what: str = "an object") -> dict[str, Any]:
    """Returns a JSON object as it is.

    Args:
        value: The value in the document.
        what: The name of what it should be, for the message.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{what} is required, got {str(value)[:40]!r}")
    return value


def extension(entry: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns the object of an extension in an entry of the document, empty if it has none.

    Raises:
        ValueError: If the extension is not an object; the message names it.
    """
    found = as_object(entry.get("extensions", {}), "an object `extensions`")
    return as_object(found.get(name, {}), f"an object {name}")


def as_list(value: Any) -> list[Any]:
    """Returns a JSON list as it is.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(value, list):
        raise ValueError(f"a list is required, got {str(value)[:40]!r}")
    return value


def _size(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"a count of rows or bytes must be a whole number >= 0, got {value!r}")
    return value
