"""Files for cross-validation: the objects of one file with other splits in each."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import h5py

from recon.datasets.storage.checksums import GROUP, write_text_sums
from recon.datasets.storage.hdf5 import open_dataset, read_texts
from recon.files import replacing


def fold_splits(groups: Sequence[str], synsets: Sequence[str], folds: int, fold: int) -> list[str]:
    """Returns the split of each object in one fold of a cross-validation.

    The families of objects are dealt into twice as many parts as there are folds, the objects of
    each category as evenly as the families allow. Fold k tests on parts 2k and 2k + 1, validates on
    the part after these and trains on the others, so each object is tested in exactly one fold.
    Where an object belongs depends on the families and categories alone, not on their order.

    Args:
        groups: The family of each object; families are never taken apart.
        synsets: The category of each object.
        folds: The number of folds, at least 2.
        fold: Which of them, from 0.

    Returns:
        'train', 'val' or 'test' for each object.

    Raises:
        ValueError: If there are fewer than two folds or no such fold.
    """
    if folds < 2 or not 0 <= fold < folds:
        raise ValueError(f"folds must be >= 2 and fold in [0, folds), got {folds} and {fold}")
    part_of = _deal(groups, synsets, 2 * folds)
    tested, validated = (2 * fold, 2 * fold + 1), 2 * ((fold + 1) % folds)
    return [
        "test" if part in tested else "val" if part == validated else "train"
        for part in (part_of[group] for group in groups)
    ]


def _deal(groups: Sequence[str], synsets: Sequence[str], parts: int) -> dict[str, int]:
    """Returns the part of each family: the largest first, each where its categories are rarest.

    Parts 2k and 2k + 1 count as one where they are equal, as a fold tests on both.
    """
    families: dict[str, Counter[str]] = {}
    for group, synset in zip(groups, synsets, strict=True):
        families.setdefault(group, Counter())[synset] += 1
    held = [Counter[str]() for _ in range(parts)]
    part_of = {}
    for group in sorted(families, key=lambda name: (-families[name].total(), _shuffled(name))):
        part = min(range(parts), key=_filled(held, families[group]))
        held[part].update(families[group])
        part_of[group] = part
    return part_of


def _filled(
    held: Sequence[Counter[str]], synsets: Collection[str]
) -> Callable[[int], tuple[int, int, int]]:
    """Returns how full a part is for a family of some categories, the most important first."""

    def filled(part: int) -> tuple[int, int, int]:
        here, beside = (sum(held[i][synset] for synset in synsets) for i in (part, part ^ 1))
        return here, here + beside, held[part].total()

    return filled


def _shuffled(name: str) -> bytes:
    """Returns a key that puts names into an order which has nothing to do with them."""
    return hashlib.blake2b(name.encode(), digest_size=8).digest()


def write_folds(path: str | Path, folds: int, folder: str | Path, command: str) -> list[Path]:
    """Writes a copy of a prepared file for each fold, which differs in the splits alone.

    Args:
        path: The prepared file.
        folds: The number of folds, at least 2.
        folder: The folder to write fold0.h5, fold1.h5, ... to; it is created.
        command: The command that made the files, to be kept in them behind that of the file.

    Returns:
        The files, in order; those that were there before are replaced one by one.

    Raises:
        FileNotFoundError, ValueError: If the file cannot be opened, is one of those to be written,
            or `fold_splits` raises it.
        OSError: If a file cannot be written.
    """
    path, folder = Path(path), Path(folder)
    with open_dataset(path) as file:
        groups, synsets = read_texts(file, "groups"), read_texts(file, "synsets")
    splits = [fold_splits(groups, synsets, folds, fold) for fold in range(folds)]
    files = [folder / f"fold{fold}.h5" for fold in range(folds)]
    if path.resolve() in [file.resolve() for file in files]:
        raise ValueError(f"{path} would be replaced by a fold of its own: choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for written, texts in zip(files, splits, strict=True):
        with replacing(written) as temporary:
            shutil.copyfile(path, temporary)
            with h5py.File(temporary, "r+") as file:
                _replace_splits(file, texts, command)
    return files


def _replace_splits(file: h5py.File, splits: Sequence[str], command: str) -> None:
    file["splits"][:] = list(splits)
    file.attrs["command"] = f"{file.attrs['command']}; {command}"
    if GROUP in file:
        write_text_sums(file, {"splits": splits})
