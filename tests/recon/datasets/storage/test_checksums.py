"""Sums of pieces see every change of a word, and words that change places."""

from __future__ import annotations

import numpy as np
import pytest

from recon.datasets.storage.checksums import piece_sums, text_sum


@pytest.mark.parametrize("size", [1, 7, 8, 9, 64, 75])
def test_every_flipped_bit_changes_the_sum(size: int) -> None:
    piece = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    flipped = np.repeat(piece[None], 8 * size, 0)
    for bit in range(8 * size):
        flipped[bit, bit // 8] ^= 1 << bit % 8
    assert (piece_sums(flipped) != piece_sums(piece[None])).all()


def test_sums_are_those_of_the_formula_whatever_the_type() -> None:
    pieces = np.arange(30, dtype=np.float32).reshape(2, 3, 5)
    for piece, found in zip(pieces, piece_sums(pieces), strict=True):
        words = np.frombuffer(piece.tobytes() + b"\0" * 4, "<u8").tolist()
        assert int(found) == sum((2 * i + 1) * word for i, word in enumerate(words)) % 2**64
    assert piece_sums(np.zeros((0, 4), np.uint8)).shape == (0,)


def test_words_that_change_places_change_the_sum() -> None:
    words = np.array([[1, 2, 3], [2, 1, 3], [3, 2, 1]], np.uint64)
    assert len(set(piece_sums(words).tolist())) == 3


def test_sums_of_texts_tell_where_one_ends() -> None:
    assert len({int(text_sum(t)) for t in (["ab", "c"], ["a", "bc"], ["abc"], [])}) == 4
