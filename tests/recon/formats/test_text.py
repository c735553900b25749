"""Encodings and ends of lines that other programs write."""

from __future__ import annotations

import codecs
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recon.formats.text import decode_text, parse_floats, read_lines, split_lines


@pytest.mark.parametrize(
    "data",
    [
        "gr\u00f8nn".encode(),
        codecs.BOM_UTF8 + "gr\u00f8nn".encode(),
        codecs.BOM_UTF16_LE + "gr\u00f8nn".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "gr\u00f8nn".encode("utf-16-be"),
        codecs.BOM_UTF32_LE + "gr\u00f8nn".encode("utf-32-le"),
        "gr\u00f8nn".encode("latin-1"),
        codecs.BOM_UTF8 + "gr\u00f8nn".encode("latin-1"),
    ],
)
def test_one_word_in_every_encoding(data: bytes) -> None:
    assert decode_text(data) == "gr\u00f8nn"


def test_a_mark_that_lies_is_named() -> None:
    with pytest.raises(ValueError, match="marked as utf-16-le"):
        decode_text(codecs.BOM_UTF16_LE + b"a")


def test_lines_end_at_line_feeds_and_returns_only() -> None:
    text = "a\x85b\nc\u2028d\re\x0cf\r\n\ng"
    assert split_lines(text) == ["a\x85b", "c\u2028d", "e\x0cf", "", "g"]


@given(
    lines=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n\ufeff"))),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_text_is_read_as_it_was_written(lines: list[str], end: str, encoding: str) -> None:
    assert read_lines(end.join(lines).encode(encoding)) == (lines or [""])


def test_numbers_of_c_libraries() -> None:
    words = [
        "1.5",
        "-nan(ind)",
        "nan",
        "1.#QNAN",
        "-1.#IND",
        "1.#INF",
        "-inf",
        "Infinity",
        "-1.#INF",
    ]
    numbers = parse_floats(words).tolist()
    assert numbers[0] == 1.5
    assert all(map(math.isnan, numbers[1:5]))
    assert numbers[5:] == [math.inf, -math.inf, math.inf, -math.inf]
    with pytest.raises(ValueError, match="a number is required, got '1,5'"):
        parse_floats(["1", "nan(0x1)", "1,5"])
