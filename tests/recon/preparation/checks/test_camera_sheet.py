from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.preparation.checks.camera_sheet import (
    BORDER,
    TILE,
    camera_sheet_path,
    write_camera_sheet,
)
from recon.preparation.prepare import prepare
from recon.preparation.sources.images import ImagesSource
from recon.visualization.contact_sheet import GAP, LINE
from tests.recon.preparation.checks.test_cameras import transposed
from tests.recon.preparation.image_folders import write_object


def prepared(tmp_path: Path, **settings: object) -> Path:
    path = tmp_path / "x.h5"
    prepare(ImagesSource(tmp_path / "data", **settings), path, workers=1)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("mesh", [False, True])
def test_silhouettes_follow_the_images(
    tmp_path: Path, mesh: bool, caplog: pytest.LogCaptureFixture
) -> None:
    write_object(tmp_path / "data" / "chair" / "one", views=3, mesh=mesh)
    sheet = camera_sheet_path(prepared(tmp_path, image_size=32))
    assert sheet.name == "x.h5.cameras.png"
    assert "agree only" not in caplog.text
    with Image.open(sheet) as image:
        pixels = np.asarray(image)
    drawn = (pixels == BORDER).all(axis=2)
    assert drawn.sum() > 3 * TILE
    # Between the border and the object there is a voxel or a pixel of the stored image, no more.
    object_ = (pixels < 240).all(axis=2) & ~drawn
    top = GAP + LINE
    tile = slice(top, top + TILE), slice(GAP, GAP + TILE)
    rows, columns = np.nonzero(object_[tile])
    border_rows, border_columns = np.nonzero(drawn[tile])
    for inner, outer in ((rows, border_rows), (columns, border_columns)):
        assert abs(inner.min() - outer.min()) <= 6
        assert abs(inner.max() - outer.max()) <= 6


def test_mistaken_cameras_are_warned_of_when_a_file_is_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_object(tmp_path / "data" / "chair" / "one", mistake=transposed)
    with caplog.at_level(logging.WARNING):
        path = prepared(tmp_path)
    assert f"{path}: masks and cameras agree only to 0." in caplog.text
    assert "look at" in caplog.text


def test_a_sheet_of_any_file_and_name(shapes_file: Path, tmp_path: Path) -> None:
    sheet = write_camera_sheet(shapes_file, tmp_path / "sheet.png")
    with Image.open(sheet) as image:
        assert image.size == (
            GAP + 8 * (TILE + GAP),
            GAP + 6 * (TILE + 2 * LINE + GAP),
        )
    with pytest.raises(OSError, match=r"could not write .*gone"):
        write_camera_sheet(shapes_file, tmp_path / "gone" / "sheet.png")
