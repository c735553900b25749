"""Every link from one page to another leads somewhere."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
# Out of docstrings: they are there once the site was built.
GENERATED = ROOT / "docs" / "reference"


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as forges and Sphinx make them."""
    found: Counter[str] = Counter()
    for heading in HEADING.findall(FENCED.sub("", text)):
        found[re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")] += 1
    again = {f"{name}-{i}" for name, count in found.items() for i in range(1, count)}
    return set(found) | again


def broken_links(page: Path) -> list[str]:
    """The links of a page to files which are not there, or to headings they do not have."""
    broken = []
    for link in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if target.parent == GENERATED:
            continue
        if not target.exists() or (anchor and anchor not in page_anchors(target)):
            broken.append(link)
    return broken


def page_anchors(page: Path) -> set[str]:
    """The anchors of a page and of what it includes."""
    text = page.read_text(encoding="utf-8")
    included = re.findall(r"^```\{include\} (\S+)$", text, re.MULTILINE)
    return anchors(text).union(*(page_anchors(page.parent / name) for name in included))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_links_to_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A heading: of `two`\n\n## More\n\n## More\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](other.md) [b](other.md#a-heading-of-two) [c](#here) [d](other.md#more-1)\n"
        "[e](https://example.org/x) [f](gone.md) [g](other.md#gone) [h](#gone) ![i](gone.png)\n"
        "```\n[j](not-a-link.md)\n# no heading\n```\n[k](#no-heading)\n"
    )
    assert broken_links(page) == ["gone.md", "other.md#gone", "#gone", "gone.png", "#no-heading"]
