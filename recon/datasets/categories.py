"""The one table of the thirteen ShapeNet categories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Category(NamedTuple):
    """A category's plain name and its WordNet synset identifier."""

    name: str
    synset: str


CATEGORIES: tuple[Category, ...] = (
    Category("airplane", "02691156"),
    Category("bench", "02828884"),
    Category("cabinet", "02933112"),
    Category("car", "02958343"),
    Category("chair", "03001627"),
    Category("display", "03211117"),
    Category("lamp", "03636649"),
    Category("speaker", "03691459"),
    Category("rifle", "04090263"),
    Category("sofa", "04256520"),
    Category("table", "04379243"),
    Category("telephone", "04401088"),
    Category("vessel", "04530566"),
)

_BY_KEY = {key: category for category in CATEGORIES for key in category}


def find_category(key: str) -> Category:
    """Returns the category whose name or synset is `key`.

    Args:
        key: A name such as 'chair' or a synset such as '03001627'.

    Raises:
        ValueError: If no category has that name or synset.
    """
    category = _BY_KEY.get(str(key))
    if category is None:
        known = ", ".join(f"{c.name} ({c.synset})" for c in CATEGORIES)
        raise ValueError(f"unknown category {key!r}; the known ones are {known}")
    return category


def category_of(synset: str) -> Category:
    """Returns the category of a stored synset: one of the thirteen, or a user's own word.

    A word which is none of the thirteen is name and synset at once.
    """
    return _BY_KEY.get(synset) or Category(synset, synset)


def present_categories(synsets: Iterable[str]) -> list[Category]:
    """Returns the categories of some synsets: the thirteen in their order, then words by name."""
    found = {category_of(synset) for synset in synsets}
    return [c for c in CATEGORIES if c in found] + sorted(found - set(CATEGORIES))
