"""Where outlines lie in training images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from recon.datasets.framing import (
    Framing,
    find_framing,
    framing_of,
    mask_boxes,
    usual_framing,
)
from recon.datasets.multiview import MultiViewDataset
from recon.geometry.cameras import SHAPENET_VIEWS, shapenet_cameras


def test_boxes_reach_from_border_to_border_of_what_is_opaque() -> None:
    alpha = torch.zeros(3, 6, 8, dtype=torch.uint8)
    alpha[0, 1:3, 2:7] = 200
    alpha[0, 0, 0] = 127  # half transparent: outside
    alpha[2] = 255
    assert mask_boxes(alpha).tolist() == [[2, 1, 7, 3], [0, 0, 8, 6]]


def test_a_framing_is_measured_on_data(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file, "train")
    framing = find_framing(data)
    alpha = torch.cat([data.images(i, range(SHAPENET_VIEWS))[:, 3] for i in range(len(data))])
    longest = []
    for image in alpha > 127:
        rows, columns = image.nonzero().unbind(1)
        longest.append(max(int(rows.max() - rows.min()), int(columns.max() - columns.min())) + 1)
    below = [sum(x / 64 < fill for x in longest) / len(longest) for fill in framing.fill]
    assert below == pytest.approx([0.05, 0.5, 0.95], abs=0.05)
    # The ellipsoids are round about the middle of the images.
    assert framing.center == pytest.approx((0, 0), abs=0.02)
    # In the order of the views.
    assert torch.equal(framing.cameras, shapenet_cameras(range(SHAPENET_VIEWS)).rows())


def checkpoint(path: object, **more: Any) -> dict[str, Any]:
    return {"config": {"data": {"path": path}}, **more}


def test_a_checkpoint_tells_or_its_data_or_it_is_the_usual_one(
    shapes_file: Path, tmp_path: Path
) -> None:
    kept = Framing((0.1, 0.2, 0.3), (0.05, -0.1), usual_framing().cameras[:2], "")
    told = framing_of(checkpoint(str(shapes_file), framing=kept.plain()))
    assert (told.fill, told.center, told.source) == (kept.fill, kept.center, "the checkpoint")
    assert torch.equal(told.cameras, kept.cameras)

    measured = framing_of(checkpoint(str(shapes_file)))
    assert measured.source == "the training data"
    assert measured.fill == find_framing(MultiViewDataset(shapes_file, "train")).fill

    for gone in (None, str(tmp_path / "gone.h5")):
        assert framing_of(checkpoint(gone)).fill == usual_framing().fill


def test_numbers_out_of_range_are_refused() -> None:
    rows = usual_framing().cameras
    with pytest.raises(ValueError, match="rising fill"):
        Framing((0.5, 0.4, 0.6), (0, 0), rows, "")
    with pytest.raises(ValueError, match="center"):
        Framing((0.4, 0.5, 0.6), (0.5, 0), rows, "")
    with pytest.raises(ValueError, match="needs a camera"):
        Framing((0.4, 0.5, 0.6), (0, 0), rows[:0], "")
