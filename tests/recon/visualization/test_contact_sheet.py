"""Contact sheets: every image, title, caption and label stands where it belongs."""

from __future__ import annotations

import numpy as np
import torch

from recon.visualization.contact_sheet import GAP, LINE, contact_sheet, sheet_cell

RED, BLUE = (np.full((10, 20, 3), color, np.uint8) for color in ((255, 0, 0), (0, 0, 255)))
COLUMNS = (slice(GAP, GAP + 20), slice(2 * GAP + 20, 2 * GAP + 40))


def test_rows_without_words_are_only_images_and_gaps() -> None:
    sheet = np.asarray(contact_sheet([[RED, BLUE], [BLUE]]))
    assert sheet.shape == (GAP + 2 * (10 + GAP), GAP + 2 * (20 + GAP), 3)
    for row, cells in enumerate([(RED, BLUE), (BLUE, np.full_like(RED, 255))]):
        top = GAP + row * (10 + GAP)
        for column, cell in zip(COLUMNS, cells, strict=True):
            np.testing.assert_array_equal(sheet[top : top + 10, column], cell)


def test_words_stand_beside_the_images_they_tell_of() -> None:
    small = RED[:5, :5]
    sheet = np.asarray(
        contact_sheet(
            [[RED, BLUE], [BLUE, small]],
            titles=("", "II"),
            captions=("", "III"),
            labels=(((("", "black"), ("I", "lime"))), ()),
            header="I",
        )
    )
    step = 2 * LINE + 10 + GAP
    assert sheet.shape[0] == 2 * LINE + 2 * step
    top = 2 * LINE + LINE
    np.testing.assert_array_equal(sheet[top : top + 10, COLUMNS[0]], RED)
    np.testing.assert_array_equal(sheet[top + step :][:5, COLUMNS[1]][:, :5], small)
    dark = (sheet < 100).all(axis=2)
    assert dark[:LINE].any()
    assert not dark[LINE : 2 * LINE, COLUMNS[0]].any()
    assert dark[LINE : 2 * LINE, COLUMNS[1]].any()
    assert not dark[2 * LINE : 2 * LINE + step].any()  # an empty caption, and a lime label
    assert dark[2 * LINE + step :][:LINE].any()
    lime = (sheet[..., 1] > 200) & (sheet[..., 0] < 100)
    assert lime[top + 10 : top + 10 + LINE, COLUMNS[1]].any()
    assert lime.sum() == lime[top + 10 : top + 10 + LINE, COLUMNS[1]].sum()


def test_a_long_caption_makes_the_sheet_wider() -> None:
    short, long = (contact_sheet([[RED]], captions=["I" * count]) for count in (1, 100))
    assert short.width == 2 * GAP + 20
    dark = (np.asarray(long) < 100).all(axis=2).any(axis=0)
    assert not dark[-GAP:].any()
    assert dark[-3 * GAP :].any()


def test_a_cell_is_scaled_to_its_size() -> None:
    image = torch.tensor([0.0, 0.5, 1.0])[:, None, None].expand(3, 4, 4)
    for size, shape in ((8, (8, 8, 3)), ((6, 12), (6, 12, 3))):
        cell = sheet_cell(image, size)
        assert cell.shape == shape
        assert cell[1, 2].tolist() == [0, 128, 255]
