"""Small pieces of HTML."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

from PIL import Image
from torch import Tensor


def element(tag: str, content: str, **attributes: str | int | bool) -> str:
    """Returns an element around HTML; a trailing underscore and others in names become hyphens.

    An attribute that is True stands alone, one that is False is left out.
    """
    parts = [tag]
    for name, value in attributes.items():
        plain = name.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(plain)
        elif value is not False:
            parts.append(f'{plain}="{escape(str(value))}"')
    return f"<{' '.join(parts)}>{content}</{tag}>"


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    foot: Sequence[str] = (),
    class_: str = "",
    text_columns: int = 1,
) -> str:
    """Returns a table.

    Args:
        heads: texts.
        rows: of cells, each a whole `<td>` or `<th>`.
        foot: a row below the others, which is not sorted with them.
        class_: of the table.
        text_columns: how many of the first columns hold text, which is sorted as such.
    """
    head = "".join(
        element("th", escape(text), scope="col", class_="text" if column < text_columns else False)
        for column, text in enumerate(heads)
    )
    body = "".join(element("tr", "".join(row)) for row in rows)
    bottom = element("tfoot", element("tr", "".join(foot))) if foot else ""
    inner = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>{bottom}"
    return element("div", element("table", inner, class_=class_ or False), class_="scroll")


def image_element(rgba: Tensor, alt: str) -> str:
    """Returns an image [4, H, W] uint8 as an element which holds its own bytes."""
    buffer = io.BytesIO()
    Image.fromarray(rgba.movedim(0, -1).contiguous().numpy(), "RGBA").save(
        buffer, "PNG", optimize=True
    )
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    height, width = rgba.shape[1:]
    return (
        f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}" '
        f'width="{width}" height="{height}" loading="lazy">'
    )
