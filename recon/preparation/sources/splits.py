"""Assigns objects to training, validation and test splits, by a file or by a hash of the id."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon.datasets.categories import category_of
from recon.formats.text import decode_text, split_lines

log = logging.getLogger(__name__)

LISTS = ("train", "val", "test")
# Prefixes of the public lists of a synset's folder; the first prefix found there counts.
LIST_PREFIXES = ("softras_", "")
MODEL_COLUMNS = ("modelId", "model", "id")  # in all.csv `id` is a running number
SYNSET_COLUMNS = ("synsetId", "synset", "category")
OTHER_COLUMNS = ("subSynsetId",)

# Where an entry was read, (synset or "", model) and the split.
Entry = tuple[str, tuple[str, str], str]


def split_of_id(id: str) -> str:
    """Returns 'train', 'val' or 'test' (70/10/20) by a hash of the id, whatever the other ids.

    Args:
        id: The id of the object or of its family.
    """
    digest = hashlib.sha256(id.encode("utf-8", "surrogateescape")).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    return "train" if position < 0.7 else "val" if position < 0.8 else "test"


@dataclass(frozen=True)
class Splits:
    """The content of a split file.

    Attributes:
        path: The file or folder.
        words: The split by (synset, id); the synset is '' where the file gives ids alone.
    """

    path: str
    words: Mapping[tuple[str, str], str]

    def of(self, synset: str, id: str) -> str | None:
        """Returns the split of an object, or None when the file does not list it.

        Args:
            synset: The synset of the object, or the name of its category.
            id: The id of the object within the synset.
        """
        found = self.words.get((_synset(synset), id))
        return self.words.get(("", id)) if found is None else found


def assign_splits(
    keys: Sequence[tuple[str, ...]], split_file: str | Path | None
) -> list[str | None]:
    """Returns each object's split, None for those that a split file does not list.

    Args:
        keys: For every object its synset and the names that a split file may have for it, in the
            order in which they are looked up; without a file the first name decides.
        split_file: The file of the splits, as `read_splits` takes it; None splits by the hash of
            the names.

    Raises:
        ValueError, OSError: If the file is not usable or lists none of the objects.
    """
    if split_file is None:
        return [split_of_id(names[0]) for _, *names in keys]
    splits = read_splits(split_file)
    found = [
        next((word for name in names if (word := splits.of(synset, name)) is not None), None)
        for synset, *names in keys
    ]
    missing = found.count(None)
    if keys and missing == len(keys):
        raise ValueError(
            f"{split_file} lists none of the {len(keys)} objects, such as {'/'.join(keys[0][:2])}"
        )
    if missing:
        log.info("%d of %d objects are not listed in %s: left out", missing, len(keys), split_file)
    return found


def read_splits(path: str | Path) -> Splits:
    """Reads a split file; an object is named `model` or `synset/model`.

    Args:
        path: One of
            - a folder of public lists, `{synset}/softras_{train,val,test}.lst` or
              `{synset}/{train,val,test}.lst` (the former count where both are there);
            - a .csv file with the columns `split` and `modelId` (or `model`, `id`), perhaps
              `synsetId` (or `synset`, `category`), such as ShapeNet's all.csv;
            - a .json file {split: [names]} or {synset: {split: [names]}};
            - any other text file: a name and a split per line, apart by a tab or spaces, or with
              a first line naming the columns as in a CSV file.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If something is malformed, an object is in two splits, or nothing is listed; the
            message names the file and the line or key.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"split file not found: {path}")
    if path.is_dir():
        entries = _read_lists(path)
    elif path.suffix.lower() == ".json":
        entries = _read_json(path)
    else:
        entries = _read_table(path)
    words: dict[tuple[str, str], str] = {}
    for place, key, split in entries:
        if words.setdefault(key, split) != split:
            name = "/".join(filter(None, key))
            raise ValueError(f"{place}: {name} is in {split} and in {words[key]}")
    if not words:
        raise ValueError(f"{path} lists no objects")
    return Splits(str(path), words)


def _synset(word: str) -> str:
    """Returns the synset of a category's name or synset; a user's own word stays as it is."""
    # Spreadsheets drop leading zeros.
    return category_of(word.zfill(8) if word.isdigit() else word).synset


def _key(place: str, name: str, synset: str = "") -> tuple[str, str]:
    """Returns (synset, model) of a name, which may itself say its synset."""
    head, slash, model = name.strip().rpartition("/")
    if not model or "/" in head or (slash and not head) or not model.isprintable():
        raise ValueError(f"{place}: a name must be model or synset/model, got {name!r}")
    own, given = _synset(head), _synset(synset)
    if own and given and own != given:
        raise ValueError(f"{place}: {name!r} is not of synset {synset}")
    return own or given, model


def _split(place: str, word: str) -> str:
    if not word or not word.isprintable() or len(word.split()) != 1:
        raise ValueError(f"{place}: a split must be a word such as train, got {word!r}")
    return word


def _text(path: Path) -> str:
    try:
        text = decode_text(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not text.strip():
        raise ValueError(f"{path} is empty")
    return text


def _read_lists(folder: Path) -> Iterator[Entry]:
    """Reads the lists of every synset's folder; one with an empty list is left out, with an error.

    The list was cut short, or the objects of its split would silently be missing.
    """
    for synset in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        named = {p: [(w, synset / f"{p}{w}.lst") for w in LISTS] for p in LIST_PREFIXES}
        there = [[(w, path) for w, path in paths if path.is_file()] for paths in named.values()]
        chosen = next(filter(None, there), [])
        empty = [str(path) for _, path in chosen if not path.read_bytes().strip()]
        if empty:
            log.error("%s is empty: the category %s is left out", ", ".join(empty), synset.name)
            continue
        for word, path in chosen:
            for number, line in enumerate(split_lines(_text(path)), start=1):
                place = f"{path}, line {number}"
                if line.strip():
                    yield place, _key(place, line, synset.name), word


def _read_json(path: Path) -> Iterator[Entry]:
    try:
        content = json.loads(_text(path), object_pairs_hook=_unique_keys)
    except ValueError as error:  # a JSONDecodeError says the line
        raise ValueError(f"{path}: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold an object of splits or synsets, not a {_kind(content)}")
    for key, value in content.items():
        groups = value.items() if isinstance(value, dict) else [(key, value)]
        for split, names in groups:
            synset = key if isinstance(value, dict) else ""
            place = f"{path}, {synset}{'/' if synset else ''}{split}"
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ValueError(f"{place}: a list of names is required, got a {_kind(names)}")
            yield from ((place, _key(place, name, synset), _split(place, split)) for name in names)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ValueError(f"the key {twice!r} appears twice")
    return dict(pairs)


def _kind(value: Any) -> str:
    kinds = {list: "list of other things", dict: "object", str: "text", type(None): "null"}
    return kinds.get(type(value), type(value).__name__)


def _read_table(path: Path) -> Iterator[Entry]:
    """Reads a CSV file, or a text table with or without a line of column names."""
    lines = split_lines(_text(path))
    comma = path.suffix.lower() == ".csv"
    rows = [
        (number, _fields(line, comma))
        for number, line in enumerate(lines, start=1)
        if line.strip() and (comma or not line.lstrip().startswith("#"))
    ]
    header = rows[0][1] if rows else []
    if comma or "split" in header:
        columns = _columns(path, header)
        rows = rows[1:]
    else:
        columns = {"model": 0, "split": 1}
        header = ["name", "split"]
    for number, fields in rows:
        place = f"{path}, line {number}"
        if len(fields) != len(header):
            raise ValueError(
                f"{place}: {len(header)} columns ({', '.join(header)}) required, got {len(fields)}"
            )
        synset = fields[columns["synset"]] if "synset" in columns else ""
        key = _key(place, fields[columns["model"]], synset)
        yield place, key, _split(place, fields[columns["split"]])


def _fields(line: str, comma: bool) -> list[str]:
    if comma:
        return [field.strip() for field in next(csv.reader([line]))]
    return [field.strip() for field in line.split("\t")] if "\t" in line else line.split()


def _columns(path: Path, header: Sequence[str]) -> dict[str, int]:
    """Returns where the columns `model`, `split` and perhaps `synset` are."""
    known = {"split", *MODEL_COLUMNS, *SYNSET_COLUMNS, *OTHER_COLUMNS}
    unknown = [column for column in header if column not in known]
    model = next((column for column in MODEL_COLUMNS if column in header), None)
    synset = next((column for column in SYNSET_COLUMNS if column in header), None)
    if unknown or model is None or "split" not in header:
        raise ValueError(
            f"{path}, line 1: the columns must be split, one of {', '.join(MODEL_COLUMNS)}, and"
            f" perhaps {', '.join((*SYNSET_COLUMNS, *OTHER_COLUMNS))}; got {', '.join(header)}"
        )
    columns = {"model": header.index(model), "split": header.index("split")}
    return columns if synset is None else {**columns, "synset": header.index(synset)}
