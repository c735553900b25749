"""Tables of text: how many objects of which category lie in which split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recon.datasets.categories import category_of, present_categories

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
    return text_table(rows)


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Returns rows of equally many cells as lines: the first column to the left, others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[0] *= -1
    return "\n".join(
        "  ".join(
            f"{cell:{'<' if width < 0 else '>'}{abs(width)}}"
            for cell, width in zip(row, widths, strict=True)
        )
        for row in rows
    )
