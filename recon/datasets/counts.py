"""A table of the number of objects per category and split."""

from __future__ import annotations

from collections.abc import Mapping

from recon.datasets.categories import category_of, present_categories
from recon.files import text_table

FIRST_SPLITS = ("train", "val", "test")


def counts_table(counts: Mapping[tuple[str, str], int]) -> str:
    """Returns the number of objects per category and split, with totals, as text.

    Args:
        counts: The number of objects by (synset, split).
    """
    words = {split for _, split in counts}
    splits = [s for s in FIRST_SPLITS if s in words] + sorted(words - set(FIRST_SPLITS))
    synsets = [category.synset for category in present_categories(s for s, _ in counts)]
    rows = [["category", *splits, "all"]]
    for synset in [*synsets, None]:
        cells = [
            sum(n for (s, w), n in counts.items() if synset in (None, s) and w == split)
            for split in splits
        ]
        name = "all" if synset is None else category_of(synset).name
        rows.append([name, *map(str, cells), str(sum(cells))])
    return text_table(rows, rules=False)
