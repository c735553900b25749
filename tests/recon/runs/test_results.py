"""A folder with another result is refused, and the message names the difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from recon.runs.results import OtherResultError, refuse_other_result

MADE_FROM = {"image": "aa", "steps": 5}


def refuse(now: dict[str, object]) -> None:
    refuse_other_result(
        Path("out"), MADE_FROM, now, output="output_dir", overwrite="overwrite=true"
    )


def test_the_same_result_is_accepted() -> None:
    refuse({"steps": 5, "image": "aa"})


@pytest.mark.parametrize(
    ("now", "differing"),
    [
        ({"image": "bb", "steps": 5}, "image"),
        ({"image": "aa"}, "steps"),
        ({"image": "bb", "steps": 5, "mask": "cc"}, "image, mask"),
    ],
)
def test_another_result_is_refused_by_name(now: dict[str, object], differing: str) -> None:
    with pytest.raises(OtherResultError) as refused:
        refuse(now)
    assert str(refused.value) == (
        f"out holds another result ({differing} differ); choose another output_dir, or replace it "
        "with overwrite=true"
    )
