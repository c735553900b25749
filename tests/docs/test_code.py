"""The Python examples of the pages compile, and where they stand alone they run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ALONE = ("rasterizer.md",)


def examples(page: Path) -> list[str]:
    return EXAMPLE.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)], ids=lambda p: p.name)
def test_examples_compile(page: Path) -> None:
    for example in examples(page):
        compile(example, str(page), "exec")


@pytest.mark.parametrize("page", ALONE)
def test_examples_run(page: str) -> None:
    found = examples(ROOT / "docs" / page)
    assert found
    for example in found:
        exec(compile(example, page, "exec"), {})
