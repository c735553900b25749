"""Which objects may be used, by the licences of what they were made from."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence

log = logging.getLogger(__name__)

# What may follow the name of a licence: a version, 'or later', and a country it was ported to.
_VERSION = r"(-\d+(\.\d+)*\+?(-[A-Z]{2})?)?"


def has_licence(text: str, licences: Sequence[str]) -> bool:
    """Tells whether a stored licence is one of some licences.

    Args:
        text: The licence of an object, such as 'CC-BY-3.0-US'.
        licences: The names of licences, with or without a version: 'CC-BY' is every version of it,
            but neither 'CC-BY-SA-4.0' nor a text that goes on, such as 'CC-BY-3.0 or GPL-2+'.
    """
    return any(text == one or re.fullmatch(re.escape(one) + _VERSION, text) for one in licences)


def select_licences(texts: Sequence[str], licences: Sequence[str], named: str) -> list[bool]:
    """Returns for every object whether its licence is one of those that are allowed.

    Args:
        texts: The licence of each object.
        licences: The names of the allowed licences, as for `has_licence`; a warning tells those
            that no object has.
        named: The name of the objects in the message.

    Raises:
        ValueError: If licences is a single text, or no object has such a licence; the message lists
            those there are.
    """
    if isinstance(licences, str):
        raise ValueError(f"licences must be a list of names, got the text {licences!r}")
    counts = Counter(texts)
    there = ", ".join(f"{text or 'none'} ({count})" for text, count in counts.most_common())
    allowed = {text for text in counts if has_licence(text, licences)}
    if not allowed:
        raise ValueError(
            f"{named} has no object of the licences {list(licences)}; there are {there}"
        )
    absent = [one for one in licences if not any(has_licence(text, [one]) for text in counts)]
    if absent:
        log.warning("%s has no object of the licence %s; there are %s", named, absent, there)
    return [text in allowed for text in texts]
