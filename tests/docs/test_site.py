"""The site: every page and every module has its place, docstrings are translated, no network."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
from docstrings import to_restructured_text
from reference_pages import DOCS, ROOMS, ROOT, modules, rooms, write_pages

SITE = ROOT / "build" / "docs"


def translated(text: str) -> str:
    return "\n".join(to_restructured_text(text.split("\n"))).rstrip("\n")


def test_every_page_is_in_the_index_once() -> None:
    toctrees = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    listed = [line for tree in toctrees for line in tree.splitlines() if line and line[0] != ":"]
    pages = sorted(page.stem for page in DOCS.glob("*.md") if page.stem != "index")
    assert sorted(listed) == sorted([*pages, "reference/index"])


def test_every_module_is_in_one_room() -> None:
    names = modules()
    assert {"renderer_cuda", "recon.geometry.cameras", "recon.models.decoder"} <= set(names)
    sorted_in = rooms(names)
    assert sorted(name for found in sorted_in.values() for name in found) == sorted(names)
    empty = [room.name for room, found in sorted_in.items() if not found]
    assert empty == []


def test_rooms_name_modules_that_exist() -> None:
    names = modules()
    for room in ROOMS:
        for pattern in room.modules.split():
            found = [name for name in names if type(room)("", "", "", pattern).has(name)]
            assert found, f"{pattern} of {room.name} matches no module"


def test_pages_are_written_and_old_ones_removed(tmp_path: Path) -> None:
    package = tmp_path / "recon"
    (package / "models").mkdir(parents=True)
    for name in ("__init__", "cameras", "_private", "models/__init__", "models/decoder"):
        (package / f"{name}.py").touch()
    assert modules(tmp_path) == [
        "renderer_cuda", "recon", "recon.cameras", "recon.models", "recon.models.decoder",
    ]  # fmt: skip
    folder = tmp_path / "reference"
    folder.mkdir()
    (folder / "gone.md").touch()
    write_pages(folder, tmp_path)
    assert {path.stem for path in folder.iterdir()} == {room.name for room in ROOMS} | {"index"}
    models = (folder / "models.md").read_text()
    assert "automodule:: recon.models\n```" in models
    assert "automodule:: recon.models.decoder\n   :members:" in models
    rasterizer = (folder / "renderer_cuda.md").read_text()
    assert "# renderer_cuda\n" in rasterizer
    assert "automodule:: renderer_cuda\n   :members:\n```" in rasterizer


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Of `a_` and b_, 2*3 and |x|.", r"Of ``a_`` and b\_, 2\*3 and \|x\|."),
        ("Many `Stage`s, _private a_b.", r"Many ``Stage``\ s, _private a_b."),
        ("See `one\ntwo`.", "See ``one\ntwo``."),
        ("At\n\n    y = 2 * x_\n\nand so on.", "At\n\n::\n\n    y = 2 * x_\n\nand so on."),
        ("One of\n- a;\n- b.", "One of\n\n- a;\n- b."),
        ("Args:\n    x: one of\n        - a\n", "Args:\n    x: one of\n\n        - a"),
        ("Returns:\n    a: [3].\n    b: [4].", "Results:\n    a: [3].\n    b: [4]."),
        ("Returns:\n    a: [3], of\n        b.", "Returns:\n    a: [3], of\n        b."),
        (
            "| a | b |\n|---|---|\n| `x` | 1 * 2 |",
            ".. list-table::\n   :header-rows: 1\n\n   * - a\n     - b\n"
            "   * - ``x``\n     - 1 \\* 2",
        ),
    ],
)
def test_docstrings_are_translated(docstring: str, expected: str) -> None:
    assert translated(docstring) == expected


@pytest.mark.skipif(not SITE.is_dir(), reason="the site is not built: make docs")
def test_the_site_needs_no_network() -> None:
    pages = list(SITE.rglob("*.html"))
    assert len(pages) > len(list(DOCS.glob("*.md")))
    # What a browser fetches by itself; links are for those who click.
    fetched = re.compile(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*")
    for page in pages:
        assert fetched.findall(page.read_text(encoding="utf-8")) == [], page
    for sheet in SITE.rglob("*.css"):
        assert not re.search(r"@import|url\(\W?(?:https?:)?//", sheet.read_text(encoding="utf-8"))
