"""Templates: texts are escaped wherever they stand, and scripts hold data that cannot end them."""

from __future__ import annotations

import json
import re

import pytest
from jinja2 import UndefinedError

from recon.evaluation.report_page.rendering import POLICY, render, render_page

EVIL = """</script><script>alert("x")</script>'&"""


def test_texts_are_escaped_in_elements_and_attributes() -> None:
    text = render("mesh_frame.html", page=EVIL, height=3)
    assert "<script>" not in text
    attribute = re.search(r'srcdoc="([^"]*)"', text)
    assert attribute is not None
    assert attribute[1].count("&lt;script&gt;") == 1
    assert "&#34;x&#34;" in attribute[1]


def test_data_in_a_script_element_cannot_end_it() -> None:
    page = render_page("page.html", {"name": EVIL}, title=EVIL, main="<b>")
    data = re.search(r'<script type="application/json" id="shapes">(.*?)</script>', page, re.S)
    assert data is not None
    assert json.loads(data[1]) == {"name": EVIL}
    assert "&lt;b&gt;" in page  # what is not markup is text
    assert f'content="{POLICY}"' in page
    assert page.count("<script") == 3
    without = render_page("page.html", None, title="a", main="b")
    assert 'id="shapes"' not in without


def test_what_a_template_misses_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="height"):
        render("mesh_frame.html", page="")


def test_there_is_no_white_space_between_elements() -> None:
    text = render("objects.html", text="a\nb", kinds=("worst",), sections=[])
    assert not re.search(r">\s+<", text.replace("</label> <", ""))
    assert "a\nb" in text
