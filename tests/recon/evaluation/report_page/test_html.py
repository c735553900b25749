from __future__ import annotations

import base64
import io
import re

import numpy as np
import torch
from PIL import Image

from recon.evaluation.report_page.html import element, image, table


def test_attributes_are_escaped_and_named_as_in_html() -> None:
    assert element("p", "<b>x</b>", class_="a b", data_value=3, title='"<&>"') == (
        '<p class="a b" data-value="3" title="&quot;&lt;&amp;&gt;&quot;"><b>x</b></p>'
    )
    assert element("p", "", hidden=True, id=False) == "<p hidden></p>"


def test_a_table_escapes_its_heads_and_keeps_its_cells() -> None:
    text = table(["<a>"], [["<td>1</td>"], ["<td>2</td>"]], foot=["<td>3</td>"])
    assert '<th scope="col" class="text">&lt;a&gt;</th>' in text
    assert '<th scope="col">b</th>' in table(["a", "b"], [])
    assert "<tbody><tr><td>1</td></tr><tr><td>2</td></tr></tbody>" in text
    assert text.endswith("<tfoot><tr><td>3</td></tr></tfoot></table></div>")
    assert "tfoot" not in table(["a"], [["<td>1</td>"]])


def test_a_image_holds_its_own_pixels() -> None:
    rgba = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 5, 7), np.uint8))
    text = image(rgba, 'a "name"')
    data = re.search(r"data:image/png;base64,([^\"]+)", text)
    assert data is not None
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(data[1]))))
    assert np.array_equal(found, rgba.movedim(0, -1).numpy())
    assert 'alt="a &quot;name&quot;" width="7" height="5"' in text
