from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recon.datasets.storage.layout import Layout
from recon.metrics import Truth
from recon.metrics.softras import SoftRas
from tests.recon.metrics.solids import box, sphere

ROOT = Path(__file__).parents[3]
# What the released code computes of five meshes.
GOLDEN = sorted((ROOT / "tests" / "renderer_cuda" / "golden" / "vox").glob("*.npz"))


def block(start: int, stop: int) -> torch.Tensor:
    grid = torch.zeros(32, 32, 32, dtype=torch.bool)
    grid[start:stop, start:stop, start:stop] = True
    return grid


def test_golden_files_are_there() -> None:
    assert len(GOLDEN) == 5


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_voxels_are_those_of_the_released_code(path: Path) -> None:
    data = np.load(path)
    vertices = torch.from_numpy(data["vertices"])[None]
    faces = torch.from_numpy(data["faces"].astype(np.int64))
    bits = np.unpackbits(data["voxels"]).reshape(32, 32, 32)
    truth = torch.from_numpy(bits.astype(bool))
    assert SoftRas().score(vertices, faces, Truth(voxels=truth), [0], 0)[
        "softras_iou"
    ].tolist() == [1]
    # One voxel more in the truth, and exactly that one counts.
    truth[tuple(np.argwhere(bits == 0)[0])] = True
    found = SoftRas().score(vertices, faces, Truth(voxels=truth), [0], 0)["softras_iou"].item()
    assert found == bits.sum() / (bits.sum() + 1)


def test_boxes_of_known_voxels() -> None:
    # A vertex v is in voxel floor(31 v + 16) of 32.
    vertices, faces = box([20 / 31] * 3, [0.5 / 31] * 3)
    small, _ = box([10 / 31] * 3, [0.5 / 31] * 3)
    both = torch.stack([vertices, small])
    truth = Truth(voxels=block(6, 27))
    found = SoftRas().score(both, faces, truth, [3, 5], 0)["softras_iou"]
    assert found.dtype == torch.float64
    assert found.tolist() == [1, 11**3 / 21**3]


def test_many_objects_at_once_are_scored_as_each_alone() -> None:
    faces = sphere(1)[1]
    vertices = torch.stack([sphere(radius)[0] for radius in (0.2, 0.3, 0.4)])
    voxels = torch.stack([block(5, 20), block(6, 27), block(0, 0)])
    truths = [Truth(voxels=grid) for grid in voxels]
    table = SoftRas().score_objects(vertices[:, None], faces, truths, [0], [0, 0, 0])
    together = table["softras_iou"][:, 0]
    alone = [
        SoftRas()
        .score(vertices[k : k + 1], faces, Truth(voxels=voxels[k]), [0], 0)["softras_iou"]
        .item()
        for k in range(3)
    ]
    assert together.tolist() == alone
    assert 0.2 < together[0] < together[1] < 1
    assert together[2] == 0


def test_predictions_without_a_surface() -> None:
    vertices, faces = sphere(0.3)
    gone = torch.full_like(vertices, torch.nan)
    truth, nothing = Truth(voxels=block(6, 27)), Truth(voxels=block(0, 0))
    assert SoftRas().score(gone[None], faces, truth, [0], 0)["softras_iou"].tolist() == [0]
    assert SoftRas().score(gone[None], faces, nothing, [0], 0)["softras_iou"].tolist() == [1]
    assert SoftRas().score(vertices[None], faces[:0], truth, [0], 0)["softras_iou"].tolist() == [0]
    assert SoftRas().score(vertices[:0][None], faces[:0], truth, [0], 0)[
        "softras_iou"
    ].tolist() == [0]


def test_a_face_that_is_not_finite_is_left_out() -> None:
    vertices, faces = sphere(0.3)
    spoiled = torch.cat((vertices, torch.full((1, 3), torch.inf)))
    more = torch.cat((faces, torch.tensor([[0, 1, len(vertices)]])))
    truth = Truth(voxels=block(6, 27))
    expected = SoftRas().score(vertices[None], faces, truth, [0], 0)["softras_iou"]
    assert torch.equal(SoftRas().score(spoiled[None], more, truth, [0], 0)["softras_iou"], expected)


def test_the_lowest_resolution_of_the_data_is_taken() -> None:
    suite = SoftRas().for_layout(Layout((64, 64), 24, (128, 64)))
    assert suite.fields == ("voxels_64",)
    assert suite.statement().startswith("softras: voxel IoU at 64^3, vertices * 63/64 + 0.5")


def test_data_and_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="metric suite softras needs the field voxels_32"):
        SoftRas().for_layout(Layout((64, 64), 24))
    with pytest.raises(ValueError, match="resolution must be >= 1, got 0"):
        SoftRas(0)
    vertices, faces = sphere(0.3)
    with pytest.raises(ValueError, match="truth must have voxels"):
        SoftRas().score(vertices[None], faces, Truth(), [0], 0)
    with pytest.raises(ValueError, match=r"one shape \[B, R, R, R\]"):
        SoftRas(16).score(vertices[None], faces, Truth(voxels=block(6, 27)), [0], 0)
