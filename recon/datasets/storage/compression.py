"""The compressions of large arrays in a file."""

from __future__ import annotations

import importlib
from typing import Any

import h5py

COMPRESSIONS = ("none", "lzf", "blosc2")

# Numbers under which the HDF5 Group lists the filters.
_FILTERS = {32000: "lzf", 32026: "blosc2"}
_LZ4_LEVEL = 5  # of 9; higher ones make the files of renderings 2 % smaller


def storage_options(compression: str, itemsize: int) -> dict[str, Any]:
    """Returns the arguments of `h5py.Group.create_dataset` that store an array so.

    Args:
        compression: The name of the compression, one of `COMPRESSIONS`.
        itemsize: The number of bytes of one number of the array.

    Raises:
        ValueError: If the compression is unknown, or a package it needs is not installed.
    """
    if compression not in COMPRESSIONS:
        raise ValueError(f"compression must be one of {COMPRESSIONS}, got {compression!r}")
    # Bytes of equal weight side by side compress better; single bytes have nothing to shuffle.
    shuffle = itemsize > 1
    if compression == "lzf":
        return {"compression": "lzf", "shuffle": shuffle}
    if compression == "blosc2":
        try:
            plugin = importlib.import_module("hdf5plugin")
        except ImportError as error:
            raise ValueError(
                "compression 'blosc2' needs the package hdf5plugin (pip install hdf5plugin)"
            ) from error
        return dict(plugin.Blosc2(cname="lz4", clevel=_LZ4_LEVEL, filters=int(shuffle)))
    return {}


def require_available(compression: str) -> None:
    """Refuses a compression that cannot be written here.

    Raises:
        ValueError: If the compression is unknown, or a package it needs is not installed.
    """
    storage_options(compression, 1)


def compression_of(field: h5py.Dataset) -> str:
    """Returns how an array is stored: a word of `COMPRESSIONS`, or the name of another filter."""
    names = [_FILTERS.get(code, name) for code, name in _filters(field)]
    packing = [name for name in names if name != "shuffle"]
    return " + ".join(packing) or "none"


def require_readable(field: h5py.Dataset) -> None:
    """Makes the filters of an array known to HDF5.

    Raises:
        ValueError: If a filter is not installed; the message names it.
    """
    for code, name in _filters(field):
        if not h5py.h5z.filter_avail(code) and not _plugin_brings(code):
            raise ValueError(
                f"field {field.name.lstrip('/')} is compressed with {name} (HDF5 filter {code}),"
                " which needs the package hdf5plugin (pip install hdf5plugin)"
            )


def _filters(field: h5py.Dataset) -> list[tuple[int, str]]:
    """Returns number and name of every filter of an array."""
    creation = field.id.get_create_plist()
    found = [creation.get_filter(place) for place in range(creation.get_nfilters())]
    return [
        (code, _FILTERS.get(code) or name.decode(errors="replace")) for code, _, _, name in found
    ]


def _plugin_brings(code: int) -> bool:
    """Tells whether hdf5plugin, if it is installed, has a filter."""
    try:
        importlib.import_module("hdf5plugin")  # importing it registers its filters
    except ImportError:
        return False
    return bool(h5py.h5z.filter_avail(code))
