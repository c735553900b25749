"""Real meshes of the thirteen categories from Debian packages, listed in a table."""

from __future__ import annotations

import csv
import hashlib
import logging
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recon.arguments import PositiveInt
from recon.datasets.categories import find_category
from recon.formats.meshes import read_textured_mesh
from recon.formats.meshes.reading.textured_mesh import TexturedMesh, concatenate
from recon.formats.stores import Store, open_store
from recon.formats.text import read_lines
from recon.preparation.sources.axes import orientation
from recon.preparation.sources.debian_packages import Package, PackageCache
from recon.preparation.sources.interface import ObjectEntry, fingerprint

log = logging.getLogger(__name__)

COLUMNS = (
    "package",
    "path_inside",
    "synset_id",
    "name",
    "licence",
    "group",
    "axes",
    "opts",
    "tier",
    "split",
)
PACKAGE_COLUMNS = ("package", "version", "size_bytes", "sha256")
OPTIONS = ("skip", "keep", "texdir", "tiles", "rot")
NUMBER = r"(-?[\d.]+)"
PLACED_FILE = re.compile(
    f"(?P<file>.*)@{NUMBER}:{NUMBER}:{NUMBER},{NUMBER},{NUMBER},{NUMBER}", re.DOTALL
)


@dataclass(frozen=True)
class PlacedFile:
    """A file of a model, scaled and then shifted in the model's own frame."""

    file: str
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Row:
    """One model of the table.

    Attributes:
        package: The name of the Debian package.
        path_inside: The path as in the table, `[container!]part[+part...]`.
        container: The zip archive or folder inside the package; '' is the package itself.
        files: The files that make the model.
        synset, name, licence, group, tier, split: The values in the columns of the same names.
        orientation: [3][3] the rotation from the file's frame to front +X, up +Y.
        options: The values of `skip`, `keep` (regular expressions of object names), `texdir`,
            `tiles` and `rot`.
    """

    package: str
    path_inside: str
    container: str
    files: tuple[PlacedFile, ...]
    synset: str
    name: str
    licence: str
    group: str
    orientation: tuple[tuple[float, ...], ...]
    options: dict[str, str]
    tier: int
    split: str

    @property
    def id(self) -> str:
        """The name of the first file and a hash of where the model is."""
        key = f"{self.package}!{self.path_inside}"
        if "keep" in self.options:  # then one file makes several models
            key += "#" + ";".join(f"{k}={v}" for k, v in self.options.items())
        stem = posixpath.splitext(posixpath.basename(self.files[0].file))[0]
        slug = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")
        return f"{slug}-{hashlib.sha1(key.encode()).hexdigest()[:8]}"


class DebianSource:
    """The models of a table of Debian packages' files.

    Args:
        manifest: The tab-separated table with the columns COLUMNS.
        packages: The tab-separated table with the columns PACKAGE_COLUMNS, which pins packages to a
            version; a package that it does not name is fetched in its newest version.
        cache_dir: The folder where packages are downloaded and unpacked.
        tiers: The tiers of the rows to take, which tell the download cost; None takes all.

    Raises:
        FileNotFoundError, ValueError: If a table is missing or malformed (the message names the
            line), or no row is of these tiers.
    """

    name = "debian"

    def __init__(
        self,
        manifest: str | Path = "data/debian_models.tsv",
        packages: str | Path = "data/debian_packages.tsv",
        cache_dir: str | Path = "data/debian",
        tiers: Sequence[PositiveInt] | None = (1,),
    ) -> None:
        rows = read_manifest(manifest)
        self._rows = {row.id: row for row in rows if tiers is None or row.tier in tiers}
        if not self._rows:
            known = sorted({row.tier for row in rows})
            raise ValueError(f"no model of {manifest} has a tier in {tiers}; its tiers are {known}")
        self._packages = read_packages(packages)
        self._cache = PackageCache(cache_dir)
        self._folders: dict[str, Path] = {}
        self._stores: dict[Path, Store] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_stores": {}}  # open archives do not travel to workers

    def config(self) -> dict[str, Any]:
        """Returns the fingerprints and labels of all objects."""
        rows = self._rows.values()
        return {"source": self.name, "objects": fingerprint([self._record(row) for row in rows])}

    def _record(self, row: Row) -> tuple[str, ...]:
        labels = (row.id, row.name, row.synset, row.group, row.split, row.licence)
        return (*labels, self._fingerprint(row))

    def _fingerprint(self, row: Row) -> str:
        package = self._package(row)
        version = package.sha256 or package.version
        files = [(one.file, one.scale, one.shift) for one in row.files]
        return fingerprint([package.name, version, files, row.orientation, row.options])

    def _package(self, row: Row) -> Package:
        return self._packages.get(row.package, Package(row.package))

    def objects(self) -> list[ObjectEntry]:
        """Fetches and unpacks the packages and lists the models.

        Raises:
            ValueError: If a package cannot be fetched; the message names it.
        """
        for row in self._rows.values():
            if row.package not in self._folders:
                self._folders[row.package] = self._cache.unpacked(self._package(row))
        return [ObjectEntry(*self._record(row)) for row in self._rows.values()]

    def load(self, entry: ObjectEntry) -> TexturedMesh:
        """Reads one model: front +X, up +Y, bounding box centred, longest side 1.

        Raises:
            ValueError, OSError: If the model's file is missing or broken.
        """
        row = self._rows[entry.id]
        surface = concatenate([self._read_file(row, one) for one in row.files])
        surface = surface.transformed(np.array(row.orientation), np.zeros(3))
        if not len(surface.faces):
            raise ValueError(f"{row.files[0].file}: the model has no visible faces")
        return surface.normalized()

    def _read_file(self, row: Row, placed: PlacedFile) -> TexturedMesh:
        suffix = posixpath.splitext(placed.file)[1].lower()
        options: dict[str, Any] = {}
        if suffix in (".ac", ".acc"):
            options = {
                "skip": row.options.get("skip"),
                "texture_folder": row.options.get("texdir"),
            }
        elif suffix == ".obj" and "tiles" in row.options:
            options = {"tiles": row.options["tiles"].split("|")}
        surface = read_textured_mesh(self._store(row), placed.file, **options)
        if "keep" in row.options:
            kept = [re.search(row.options["keep"], name) for name in surface.object_names]
            surface = surface.select(np.array([m is not None for m in kept])[surface.face_objects])
        surface = surface.transformed(np.diag(placed.scale), np.array(placed.shift))
        return surface.cleaned()

    def _store(self, row: Row) -> Store:
        path = self._folders[row.package] / row.container
        if path not in self._stores:
            self._stores[path] = open_store(path)
        return self._stores[path]


def read_packages(path: str | Path) -> dict[str, Package]:
    """Reads the table of pinned packages, by name."""
    return {
        words["package"]: Package(
            words["package"], words["version"], int(words["size_bytes"]), words["sha256"]
        )
        for _, words in _read_table(path, PACKAGE_COLUMNS)
    }


def read_manifest(path: str | Path) -> list[Row]:
    """Reads and checks the table of models.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is malformed; the message names the file and the line.
    """
    rows: dict[str, Row] = {}
    for number, words in _read_table(path, COLUMNS):
        try:
            row = _parse_row(words)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        if row.id in rows:
            raise ValueError(f"{path}, line {number}: the model {row.path_inside} is listed twice")
        rows[row.id] = row
    _warn_of_split_families(path, list(rows.values()))
    return list(rows.values())


def _read_table(path: str | Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Returns the line number and the fields of each row of a tab-separated table."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"table not found: {path}")
    try:
        lines = read_lines(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    header = next(reader, [])
    missing, unknown = set(columns) - set(header), set(header) - set(columns)
    if missing or unknown:
        raise ValueError(
            f"{path} must have the tab-separated columns {', '.join(columns)};"
            f" missing {sorted(missing)}, unknown {sorted(unknown)}"
        )
    table = []
    for number, fields in enumerate(reader, start=2):
        if len(fields) not in (0, len(header)):
            raise ValueError(
                f"{path}, line {number}: {len(header)} columns required, got {len(fields)}"
            )
        if fields:
            table.append((number, dict(zip(header, fields, strict=True))))
    return table


def _parse_row(words: dict[str, str]) -> Row:
    container, _, parts = words["path_inside"].rpartition("!")
    options = _parse_options(words["opts"])
    turn = orientation(words["axes"], _rotation(options.get("rot")))
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", words["package"]):
        raise ValueError(f"{words['package']!r} is not the name of a Debian package")
    if not re.fullmatch(r"\d+", words["tier"]):
        raise ValueError(f"tier must be a whole number, got {words['tier']!r}")
    if not words["split"].strip():
        raise ValueError("split must be a word, got nothing")
    for name in (container, *parts.split("+")):
        if name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"path_inside {name!r} leads out of the package")
    return Row(
        package=words["package"],
        path_inside=words["path_inside"],
        container=container,
        files=tuple(_parse_file(part) for part in parts.split("+")),
        synset=find_category(words["synset_id"]).synset,
        name=words["name"],
        licence=words["licence"],
        group=words["group"],
        orientation=tuple(map(tuple, turn.tolist())),
        options=options,
        tier=int(words["tier"]),
        split=words["split"].strip(),
    )


def _parse_file(text: str) -> PlacedFile:
    match = PLACED_FILE.fullmatch(text)
    if match is None:
        if not text:
            raise ValueError("path_inside names no file")
        return PlacedFile(text)
    numbers = [float(number) for number in match.groups()[1:]]
    return PlacedFile(
        match["file"], (numbers[0], numbers[1], numbers[2]), (numbers[3], numbers[4], numbers[5])
    )


def _parse_options(text: str) -> dict[str, str]:
    options = {}
    for option in filter(None, text.split(";")):
        key, equals, value = option.partition("=")
        if key not in OPTIONS or not equals:
            raise ValueError(f"opts has {option!r}; known options are {', '.join(OPTIONS)}")
        if key in ("skip", "keep"):
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"opts {key} is not a regular expression: {error}") from error
        options[key] = value
    return options


def _rotation(words: str | None) -> list[float] | None:
    return None if words is None else [float(number) for number in words.split(",")]


def _warn_of_split_families(path: str | Path, rows: list[Row]) -> None:
    """Warns of families in several splits: a model trained on one member has seen the others."""
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row.group, set()).add(row.split)
    divided = [group for group, words in splits.items() if len(words) > 1]
    if divided:
        log.warning("%s: families that lie in several splits: %s", path, ", ".join(divided))
