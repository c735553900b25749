from __future__ import annotations

from recon.preparation.sources.interface import fingerprint


def test_fingerprint_depends_on_content_not_on_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
