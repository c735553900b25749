"""Files of a corpus of one's own, read here and by trimesh: a table of what is equal.

    RECON_CORPUS=DIR python -m pytest tests/recon/formats/meshes/test_corpus.py -s

reads every mesh file below DIR. It fails if a reader here raises anything but a ValueError that
names the file, or takes more than a minute.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from recon.formats.meshes import MESH_FORMATS, read_textured_mesh, save_mesh
from recon.formats.stores import DiskStore
from recon.geometry.meshes import icosphere

CORPUS = os.environ.get("RECON_CORPUS")
CASES = Path(__file__).parent / "cases"
SECONDS = 60
OUTCOMES = ("equal", "different", "refused here", "refused by trimesh", "refused by both")
TRIMESH_FORMATS = (".obj", ".ply", ".stl", ".off", ".glb", ".gltf")


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def measures(corners: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """What two readings of one file must share: box and area of the triangles [F, 3, 3].

    A file of which no triangle is read counts as refused.
    """
    if not len(corners):
        return None
    a, b, c = corners.transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    solid = corners[area > 0]
    if not len(solid):
        return np.zeros(7)
    flat = solid.reshape(-1, 3)
    return np.concatenate([flat.min(axis=0), flat.max(axis=0), [area.sum() / 2]])


def read_here(path: Path) -> NDArray[np.float64] | None:
    """The measures of a file; None if it has none, or is refused by its name."""
    try:
        surface = read_textured_mesh(DiskStore(), str(path))
    except ValueError as error:
        if path.name not in str(error):
            raise AssertionError(f"{path}: the message does not name the file") from error
        return None
    return measures(surface.vertices[surface.faces])


def read_there(path: Path) -> NDArray[np.float64] | None:
    try:
        solid = trimesh.load(str(path), force="mesh", process=False)
        return measures(np.asarray(solid.triangles, np.float64))
    except TimeoutError:
        return None
    except Exception:  # trimesh raises whatever its parsers meet
        return None


def compare(path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with time_limit(SECONDS):
            ours = read_here(path)
        try:
            with time_limit(SECONDS):
                theirs = read_there(path)
        except TimeoutError:
            theirs = None
    if ours is None or theirs is None:
        both = ours is None and theirs is None
        return OUTCOMES[4] if both else OUTCOMES[2] if ours is None else OUTCOMES[3]
    scale = max(np.abs(theirs).max(), 1e-30)  # of zeros alone
    return OUTCOMES[0] if np.allclose(ours, theirs, rtol=1e-4, atol=1e-6 * scale) else OUTCOMES[1]


def table(folder: Path) -> tuple[str, Counter[tuple[str, str]]]:
    """Compare all files below a folder; return a table by format, with the names that differ."""
    counts: Counter[tuple[str, str]] = Counter()
    named: list[str] = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in MESH_FORMATS):
        suffix = path.suffix.lower()
        outcome = compare(path)
        counts[suffix, outcome] += 1
        if outcome not in ("equal", "refused by both") and suffix in TRIMESH_FORMATS:
            named.append(f"{outcome}: {path.relative_to(folder)}")
    widths = [len(word) for word in OUTCOMES]
    rows = ["format  " + "  ".join(OUTCOMES)]
    for suffix in sorted({suffix for suffix, _ in counts}):
        cells = [
            str(counts[suffix, word]).rjust(w) for word, w in zip(OUTCOMES, widths, strict=True)
        ]
        rows.append(f"{suffix:<6}  " + "  ".join(cells))
    return "\n".join([*rows, *named]), counts


@pytest.mark.skipif(CORPUS is None, reason="RECON_CORPUS names no folder of meshes")
@pytest.mark.timeout(0)
def test_corpus() -> None:
    assert CORPUS is not None
    text, counts = table(Path(CORPUS))
    print("\n" + text)
    assert counts, f"{CORPUS} holds no mesh files"


def test_the_table_of_a_small_corpus(tmp_path: Path) -> None:
    ball = icosphere(1)
    for suffix in (".obj", ".ply", ".stl", ".off", ".glb"):
        save_mesh(tmp_path / f"ball{suffix}", ball)
    (tmp_path / "empty.obj").write_text("")
    (tmp_path / "strips.ply").write_bytes((CASES / "tristrips.ply").read_bytes())
    (tmp_path / "comment.ply").write_bytes((CASES / "end_header_comment.ply").read_bytes())
    text, counts = table(tmp_path)
    assert sum(counts.values()) == 8
    for suffix in (".obj", ".ply", ".stl", ".off", ".glb"):
        assert counts[suffix, "equal"] == 1
    assert counts[".ply", "refused by trimesh"] == 2
    assert counts[".obj", "refused by both"] == 1
    assert "refused by trimesh: comment.ply" in text
