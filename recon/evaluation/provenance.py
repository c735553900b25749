"""The provenance of results: fingerprints of files and of the code, and versions."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import recon
import renderer_cuda

# Larger files of data are sampled: reading 17 GB of ShapeNet renderings would take minutes.
WHOLE_FILE = 256 << 20
# Of a sampled file: so many blocks of so many bytes, evenly spaced, the first and the last among
# them. The blocks of HDF5's own structure are small and at its beginning and end.
_BLOCKS, _BLOCK = 1024, 4096
_EDGE = 1 << 20


def file_fingerprint(path: Path) -> str:
    """Returns `sha256:...` of a file's bytes.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def data_fingerprint(path: Path) -> str:
    """Returns `file_fingerprint` of a file of data, or of a large one `sampled:...`.

    The fingerprint of a file of more than 256 MiB is the sha256 of its size, its first and last MiB
    and 1024 blocks of 4 KiB evenly spaced between them. It tells apart files that were prepared
    differently, but not two which differ in a few bytes. Names and times do not count.

    Raises:
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    if size <= WHOLE_FILE:
        return file_fingerprint(path)
    inner = np.linspace(_EDGE, size - _EDGE - _BLOCK, _BLOCKS).astype(int).tolist()
    blocks = [(0, _EDGE), *((start, _BLOCK) for start in inner), (size - _EDGE, _EDGE)]
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        for start, count in blocks:
            file.seek(start)
            digest.update(file.read(count))
    return f"sampled:{digest.hexdigest()}"


def config_fingerprint(config: Mapping[str, Any]) -> str:
    """Returns the sha256 of a plain configuration, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def texts_fingerprint(texts: Sequence[str]) -> str:
    """Returns the sha256 of some texts in order, as ids of objects."""
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()


def code_fingerprint() -> str:
    """Returns the sha256 of the sources of `recon` and `renderer_cuda` which are running."""
    digest = hashlib.sha256()
    for package in (recon, renderer_cuda):
        root = Path(str(package.__file__)).parent
        files = [path for kind in ("py", "h", "cpp", "cu") for path in root.rglob(f"*.{kind}")]
        for path in sorted(files):
            digest.update(f"{path.relative_to(root)} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Returns the versions of Python, of this package and of what computes the results."""
    try:
        own = version("recon")
    except PackageNotFoundError:  # run from a checkout which is not installed
        own = "unknown"
    return {
        "python": platform.python_version(),
        "recon": own,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
