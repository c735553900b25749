"""Decodes the text of files whose encoding and line ends are not known."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

# A mark of the order of bytes and the encoding it announces. Those of UTF-32 begin like UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What C libraries write for "not a number" and "infinity": -nan(ind), 1.#QNAN, -1.#IND, 1.#INF.
_NOT_A_NUMBER = re.compile(r"[+-]?(?:nan\S*|\d\.#(?:q?nan|s?nan|ind)\S*)", re.IGNORECASE)
_INFINITY = re.compile(r"([+-]?)(?:inf\S*|\d\.#inf\S*)", re.IGNORECASE)


def decode_text(data: bytes) -> str:
    """Returns the text of a file: UTF-8, or UTF-16 with its mark; Latin-1 only where it is neither.

    Args:
        data: The bytes; a mark of the order of bytes at their beginning is left out.

    Raises:
        ValueError: If the mark announces an encoding that the rest is not in.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(encoding)
            except UnicodeDecodeError as error:
                if encoding != "utf-8":
                    raise ValueError(f"the text is marked as {encoding}: {error}") from error
                return data[len(mark) :].decode("latin-1")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def split_lines(text: str) -> list[str]:
    r"""Returns the lines of a text, which end at \n, \r\n or \r and nowhere else.

    `str.splitlines` also cuts at bytes that are part of a word in other encodings, such as 0x85.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_lines(data: bytes) -> list[str]:
    """Returns the lines of the text of a file."""
    return split_lines(decode_text(data))


def parse_floats(words: Iterable[str]) -> NDArray[np.float64]:
    """Returns numbers [N] written as words, those of C libraries for NaN and infinity among them.

    Raises:
        ValueError: If a word is no number; the message names the first one.
    """
    words = list(words)
    try:
        return np.array(words, np.float64)
    except ValueError:
        return np.array([_float(word) for word in words], np.float64)


def _float(word: str) -> float:
    if _NOT_A_NUMBER.fullmatch(word):
        return float("nan")
    infinite = _INFINITY.fullmatch(word)
    try:
        return float(infinite[1] + "inf" if infinite else word)
    except ValueError:
        raise ValueError(f"a number is required, got {word[:40]!r}") from None
