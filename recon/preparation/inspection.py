"""Reads and describes what is in a prepared file, with warnings of what looks wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from recon.datasets.counts import counts_table
from recon.datasets.storage.compression import compression_of
from recon.datasets.storage.hdf5 import (
    open_dataset,
    read_cameras,
    read_json,
    read_layout,
    read_texts,
)
from recon.files import text_table
from recon.geometry.cameras import Cameras
from recon.geometry.voxels import unpack_voxels
from recon.preparation.checks.cameras import (
    AXIS_MARGIN,
    CameraCheck,
    best_axis_order,
    camera_warnings,
    check_object,
    mean_agreement,
)
from recon.preparation.checks.preview import spread
from recon.preparation.rendering.framing import touches_border

CAMERA_PARAMETERS = ("azimuth", "elevation", "distance", "fov")
FAILURES_SHOWN = 10


@dataclass(frozen=True)
class SampleFacts:
    """What some objects of a file look like.

    Attributes:
        rows: The rows of the objects that were looked at.
        coverage: The mean alpha of each object's images, in [0, 1].
        leaving: The ids of the objects that touch the border of an image.
        fills: The occupied share of each object's grid, by voxel field; for `triangles`, the share
            of the triangles that is used.
        checks: The camera check of each object.
    """

    rows: list[int]
    coverage: list[float]
    leaving: list[str]
    fills: dict[str, list[float]]
    checks: list[CameraCheck]


@dataclass(frozen=True)
class FileFacts:
    """What is in a file.

    Attributes:
        path: The file of the prepared data set.
        size: The size on disk in bytes.
        header: The texts of the header by name: schema, source, command, versions, recipe.
        counts: The number of objects by (synset, split).
        licences: The number of objects by licence.
        failures: The objects left out, as {id: reason}.
        fields: Rows of text, one per field: name, shape, type, chunks, compression, megabytes.
        cameras: The least and greatest azimuth, elevation (degrees), distance and fov (degrees).
        sample: What was found in some of the objects.
    """

    path: Path
    size: int
    header: Mapping[str, str]
    counts: Counter[tuple[str, str]]
    licences: Counter[str]
    failures: Mapping[str, str]
    fields: list[list[str]]
    cameras: Mapping[str, tuple[float, float]]
    sample: SampleFacts


def inspect_file(path: str | Path, sample: int = 20) -> FileFacts:
    """Reads what is in a file.

    Args:
        path: The file, made by scripts/prepare_data.py.
        sample: The number of objects to look at, evenly spread; 0 looks at all.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not valid, damaged or has no objects; the message names it.
    """
    path = Path(path)
    with open_dataset(path) as file:
        try:
            return _facts(path, file, sample)
        # These are what h5py raises for damaged data, and what this project raises for wrong
        # values.
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error


def _facts(path: Path, file: h5py.File, sample: int) -> FileFacts:
    texts = {name: read_texts(file, name) for name in ("ids", "synsets", "splits", "licences")}
    count = len(texts["ids"])
    if count == 0:
        raise ValueError("it has no objects")
    return FileFacts(
        path=path,
        size=path.stat().st_size,
        header=_header(file),
        counts=Counter(zip(texts["synsets"], texts["splits"], strict=True)),
        licences=Counter(texts["licences"]),
        failures=read_json(file, "failures"),
        fields=[
            _field_facts(name, field)
            for name, field in file.items()
            if isinstance(field, h5py.Dataset)
        ],
        cameras=_camera_ranges(file),
        sample=_sample_facts(file, spread(count, sample or count), texts["ids"]),
    )


def _header(file: h5py.File) -> dict[str, str]:
    versions = json.loads(file.attrs["versions"])
    return {
        "schema": f"{file.attrs['schema']}, version {file.attrs['schema_version']}",
        "source": str(file.attrs["source"]),
        "command": str(file.attrs["command"]),
        "versions": ", ".join(f"{name} {value}" for name, value in sorted(versions.items())),
        "recipe": json.dumps(read_json(file, "recipe")),
    }


def _field_facts(name: str, field: h5py.Dataset) -> list[str]:
    text = h5py.check_string_dtype(field.dtype) is not None
    return [
        name,
        "x".join(map(str, field.shape)) or "scalar",
        "text" if text else str(field.dtype),
        "x".join(map(str, field.chunks or ())) or "-",
        compression_of(field),
        f"{field.id.get_storage_size() / 1e6:.2f} MB",
    ]


def _camera_ranges(file: h5py.File) -> dict[str, tuple[float, float]]:
    rows = torch.from_numpy(read_cameras(file)).flatten(0, 1)
    parameters = Cameras.from_rows(rows).orbit_parameters()
    ranges = torch.stack([parameters.amin(0), parameters.amax(0)], dim=1).tolist()
    return {name: (low, high) for name, (low, high) in zip(CAMERA_PARAMETERS, ranges, strict=True)}


def _sample_facts(file: h5py.File, rows: list[int], ids: Sequence[str]) -> SampleFacts:
    fields = {f"voxels_{r}": r for r in read_layout(file).voxel_resolutions}
    filled = [*fields, "triangles"] if "triangles" in file else list(fields)
    facts = SampleFacts(rows, [], [], {name: [] for name in filled}, [])
    for row in rows:
        images = file["images"][row]
        facts.coverage.append(float(images[:, 3].mean()) / 255)
        if touches_border(images):
            facts.leaving.append(ids[row])
        for name, resolution in fields.items():
            voxels = unpack_voxels(file[name][row], resolution)
            facts.fills[name].append(float(voxels.float().mean()))
        if "triangles" in file:
            facts.fills["triangles"].append(float(file["triangles"][row].any(axis=(1, 2)).mean()))
        facts.checks.append(check_object(file, row))
    return facts


def describe(facts: FileFacts) -> str:
    """Returns the facts as text."""
    rows = [
        ("objects", f"{sum(facts.counts.values())}, {len(facts.failures)} left out"),
        *facts.header.items(),
        ("cameras", ", ".join(_range(*item) for item in facts.cameras.items())),
        *_sample_rows(facts.sample),
        ("licences", ", ".join(f"{n or 'none'}: {k}" for n, k in facts.licences.most_common())),
    ]
    lines = [f"{facts.path}: {facts.size / 1e6:.2f} MB"]
    lines += [f"  {name:9} {value}" for name, value in rows]
    heading = ["field", "shape", "type", "chunks", "compression", "size"]
    table = text_table([heading, *facts.fields], rules=False)
    lines += [f"  {line}" for line in table.splitlines()]
    lines += [
        f"  left out: {name}: {reason}"
        for name, reason in list(facts.failures.items())[:FAILURES_SHOWN]
    ]
    if len(facts.failures) > FAILURES_SHOWN:
        lines.append(f"  left out: {len(facts.failures) - FAILURES_SHOWN} more")
    return "\n".join(
        lines + [f"  warning: {text}" for text in camera_warnings(facts.sample.checks)]
    )


def _range(name: str, limits: tuple[float, float]) -> str:
    low, high = (f"{value:.5g}" for value in limits)
    return f"{name} {low}" if low == high else f"{name} {low} to {high}"


def _sample_rows(sample: SampleFacts) -> list[tuple[str, str]]:
    """Returns what the sampled objects look like; agreements are 1 at best."""
    count, checks = len(sample.rows), sample.checks
    rows = [
        ("sample", f"{count} objects"),
        ("images", f"mean coverage {_spread(sample.coverage)};"
         f" {len(sample.leaving)} of {count} objects touch the border"),
    ]  # fmt: skip
    for name, values in sample.fills.items():
        rows.append((name, f"{'used' if name == 'triangles' else 'occupied'} {_spread(values)}"))
    return [*rows, ("agreement", _agreement(checks))]


def _agreement(checks: Sequence[CameraCheck]) -> str:
    hull = f"masks with their visual hull {mean_agreement(checks, 'hull_agreement'):.2f}"
    if checks[0].voxels is None:
        return hull
    axes, best, stored = best_axis_order(checks)
    fit = f"fit better as {axes}" if best > stored + AXIS_MARGIN else "fit as they are stored"
    voxels = mean_agreement(checks, "voxel_agreement")
    return f"{hull}, voxels with masks {voxels:.2f}; axes of voxels {fit}"


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def joint_table(facts: Sequence[FileFacts]) -> str:
    """Returns the number of objects of all files per category and split."""
    total: Counter[Any] = Counter()
    for one in facts:
        total += one.counts
    return counts_table(total)
