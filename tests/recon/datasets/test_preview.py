from __future__ import annotations

from pathlib import Path

from PIL import Image

from recon.datasets.preview import MARGIN, OBJECTS_PER_CATEGORY, preview_path, write_preview


def test_a_row_per_category(data_file: Path) -> None:
    sheet = write_preview(data_file)
    assert sheet == preview_path(data_file) == data_file.with_name("data.h5.preview.png")
    with Image.open(sheet) as image:
        # Three views in the file, of which two are shown: 0 and none of 3, 12, 18.
        assert image.size == (MARGIN + 8 * OBJECTS_PER_CATEGORY, 2 * 6)
    assert sorted(data_file.parent.iterdir()) == sorted([data_file, sheet])
