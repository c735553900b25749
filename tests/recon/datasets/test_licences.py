from __future__ import annotations

import logging

import pytest

from recon.datasets.licences import has_licence, select_licences


@pytest.mark.parametrize(
    ("text", "licences", "held"),
    [
        ("CC-BY-3.0", ["CC-BY"], True),
        ("CC-BY-3.0-US", ["CC-BY"], True),
        ("CC-BY-3.0-US", ["CC-BY-3.0-US"], True),
        ("CC-BY-3.0-US", ["CC-BY-3.0"], False),
        ("CC-BY-SA-4.0", ["CC-BY"], False),
        ("CC-BY-SA-4.0", ["CC0", "CC-BY-SA"], True),
        ("CC-BY-3.0 or GPL-2+ (file header)", ["CC-BY", "CC-BY-3.0"], False),
        ("GPL-2+", ["GPL"], True),
        ("GPL-2+", ["GPL-2"], False),
        ("CC0-1.0", ["CC0"], True),
        ("WTFPL", ["WTFPL"], True),
        ("GPL-2+ (body), Free-Art (wheel)", ["GPL"], False),
        ("CC0-1.0", ["CC."], False),
        ("CC0-1.0", [], False),
    ],
)
def test_a_name_is_every_version_and_nothing_else(text: str, licences: list, held: bool) -> None:
    assert has_licence(text, licences) == held


def test_objects_of_the_licences_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    texts = ["CC0-1.0", "GPL-2", "CC-BY-3.0", "CC0-1.0"]
    with caplog.at_level(logging.WARNING):
        assert select_licences(texts, ["CC0", "WTFPL"], "x.h5") == [True, False, False, True]
    assert "no object of the licence ['WTFPL']; there are CC0-1.0 (2), GPL-2 (1)" in caplog.text


def test_no_such_licence_is_refused_with_what_there_is() -> None:
    texts = ["GPL-2", "GPL-2", "CC0-1.0", ""]
    with pytest.raises(ValueError, match=r"x.h5 has no .*'MIT'.* there are GPL-2 \(2\), CC0-1.0"):
        select_licences(texts, ["MIT"], "x.h5")
    with pytest.raises(ValueError, match="must be a list of names, got the text 'CC0'"):
        select_licences(texts, "CC0", "x.h5")
