"""The Python examples of the documentation run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", ["docs/rasterizer.md"])
def test_examples_run(page: str) -> None:
    examples = EXAMPLE.findall((ROOT / page).read_text())
    assert examples
    for example in examples:
        exec(compile(example, page, "exec"), {})
