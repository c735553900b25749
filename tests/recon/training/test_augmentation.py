"""Augmented batches: what changes together, what stays, and that nothing depends on who draws."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recon.geometry.cameras import shapenet_cameras
from recon.geometry.mirror import mirror_cameras
from recon.training.augmentation import ViewAugmentation


def make_batch(objects: int = 6, views: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (objects, views, 4, 8, 8), generator=generator).byte()
    cameras = torch.stack([shapenet_cameras([k % 24, (k + 5) % 24]).rows() for k in range(objects)])
    return {"images": images, "cameras": cameras, "shading": images[:, :, 0].clone()}


def test_an_object_is_mirrored_with_its_cameras_and_maps_or_not_at_all() -> None:
    batch = make_batch()
    augmented = ViewAugmentation(mirror=0.5)(batch, 0, 0)
    assert augmented.keys() == batch.keys()
    mirrored = 0
    for index in range(6):
        changed = torch.equal(augmented["images"][index], batch["images"][index].flip(-1))
        mirrored += changed
        for name in ("images", "shading"):
            own = batch[name][index]
            assert torch.equal(augmented[name][index], own.flip(-1) if changed else own)
        cameras = batch["cameras"][index]
        expected = mirror_cameras(cameras) if changed else cameras
        assert torch.equal(augmented["cameras"][index], expected)
    assert 0 < mirrored < 6


def test_colors_change_alike_in_all_views_and_masks_do_not() -> None:
    batch = make_batch()
    batch["images"][:, 1] = batch["images"][:, 0]
    augmented = ViewAugmentation(recolor=1.0)(batch, 0, 0)["images"]
    assert torch.equal(augmented[:, :, 3], batch["images"][:, :, 3])
    assert torch.equal(augmented[:, 0], augmented[:, 1])
    assert all(
        not torch.equal(*pair)
        for pair in zip(augmented[:, 0, :3], batch["images"][:, 0, :3], strict=True)
    )


def test_inputs_are_damaged_and_truth_is_not() -> None:
    batch = make_batch(objects=40)
    augmented = ViewAugmentation(damage=0.5)(batch, 0, 0)
    assert torch.equal(augmented["images"], batch["images"])
    assert augmented["inputs"].shape == batch["images"].shape
    assert augmented["inputs"].dtype == torch.uint8
    same = (augmented["inputs"] == batch["images"]).flatten(2).all(2).float().mean()
    assert 0.3 < float(same) < 0.7
    assert "inputs" not in ViewAugmentation(mirror=1.0)(batch, 0, 0)
    first = ViewAugmentation(damage=0.5)(batch, 0, 0, input_views=1)["inputs"]
    assert first.shape == (40, 1, *batch["images"].shape[2:])


def test_damage_on_an_empty_image_is_finite() -> None:
    batch = make_batch(objects=40)
    batch["images"].zero_()
    inputs = ViewAugmentation(damage=1.0)(batch, 0, 0)["inputs"]
    assert int((inputs[:, :, 3] > 100).sum()) == 0


def test_what_is_drawn_depends_on_seed_step_and_place_alone() -> None:
    augmentation, batch = ViewAugmentation(0.5, 0.5, 0.5), make_batch()
    whole = augmentation(batch, 1, 7)
    again = augmentation(batch, 1, 7)
    parts = [
        augmentation({name: value[first : first + 3] for name, value in batch.items()}, 1, 7, first)
        for first in (0, 3)
    ]
    for name, value in whole.items():
        assert torch.equal(value, again[name])
        assert torch.equal(value, torch.cat([part[name] for part in parts]))
    assert not torch.equal(whole["images"], augmentation(batch, 1, 8)["images"])
    assert not torch.equal(whole["images"], augmentation(batch, 2, 7)["images"])


@pytest.mark.parametrize("name", ["mirror", "recolor", "damage"])
def test_a_share_outside_its_range_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must lie in \[0, 1\], got 1.5"):
        ViewAugmentation(**{name: 1.5})
