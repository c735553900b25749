from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.datasets.storage.hdf5 import Header, Labels, write_dataset
from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.geometry.cameras import shapenet_cameras
from recon.preparation.checks.preview import (
    OBJECTS_PER_CATEGORY,
    preview_path,
    spread,
    write_preview,
)
from recon.visualization.contact_sheet import GAP, LINE


def test_a_row_per_category(data_file: Path) -> None:
    sheet = write_preview(data_file)
    assert sheet == preview_path(data_file) == data_file.with_name("data.h5.preview.png")
    with Image.open(sheet) as image:
        # All three views of 8 x 6 pixels of four objects in two categories.
        assert image.size == (
            GAP + 3 * OBJECTS_PER_CATEGORY * (8 + GAP),
            GAP + 2 * (LINE + 6 + GAP),
        )
    assert sorted(data_file.parent.iterdir()) == sorted([data_file, sheet])


@pytest.fixture
def one_view(tmp_path: Path, header: Header) -> Callable[[int, list[str]], Path]:
    """Make a file of red square images, one per synset."""

    def make(size: int, synsets: list[str]) -> Path:
        image = np.zeros((1, 4, size, size), np.uint8)
        image[0, [0, 3], :, size // 2 :] = 255
        arrays: ObjectArrays = {"images": image, "cameras": shapenet_cameras([0]).rows().numpy()}
        labels = [Labels(f"o{k}", "", s, "", "train", "") for k, s in enumerate(synsets)]
        path = tmp_path / "one.h5"
        write_dataset(path, header, Layout((size, size), 1), labels, [arrays] * len(labels))
        return path

    return make


def test_words_of_a_users_own_come_last_and_large_images_are_shrunk(
    one_view: Callable[[int, list[str]], Path],
) -> None:
    with Image.open(write_preview(one_view(300, ["mug", "03001627"]))) as image:
        assert image.size == (100 + 2 * GAP, GAP + 2 * (LINE + 100 + GAP))
        assert image.getpixel((GAP + 10, GAP + LINE + 50)) == (255, 255, 255)
        assert image.getpixel((GAP + 90, GAP + LINE + 50)) == (255, 0, 0)


def test_a_sheet_of_any_name(data_file: Path, tmp_path: Path) -> None:
    assert write_preview(data_file, tmp_path / "sheet.png") == tmp_path / "sheet.png"
    with pytest.raises(OSError, match=r"could not write .*gone"):
        write_preview(data_file, tmp_path / "gone" / "sheet.png")


def test_of_the_standard_views_four_are_shown(shapes_file: Path, tmp_path: Path) -> None:
    with Image.open(write_preview(shapes_file, tmp_path / "sheet.png")) as image:
        assert image.size == (
            GAP + 4 * OBJECTS_PER_CATEGORY * (64 + GAP),
            GAP + 3 * (LINE + 64 + GAP),
        )


def test_spread() -> None:
    assert spread(3, 6) == [0, 1, 2]
    assert spread(24, 8) == [0, 3, 6, 9, 12, 15, 18, 21]
    assert spread(10, 4) == [0, 2, 5, 7]
    assert spread(0, 4) == []
