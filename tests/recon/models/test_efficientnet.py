from __future__ import annotations

import pytest
import torch

from recon.models import EfficientNetLite0
from scripts.convert_backbone import converted
from tests.recon.models.port_of_efficientnet import port_features, random_state

MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)[:, None, None]
DEVIATION = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)[:, None, None]


def images(size: tuple[int, int] = (128, 128)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 4, *size, generator=generator, dtype=torch.float64)


def test_features_are_those_of_the_released_network_on_images_over_white() -> None:
    state, rgba = random_state(), images()
    network = converted(state).double()
    over_white = rgba[:, :3] * rgba[:, 3:] + (1 - rgba[:, 3:])
    expected = port_features(state, (over_white - MEAN) / DEVIATION).flatten(1)
    assert expected.std() > 0.1
    # The folded weights are float32.
    torch.testing.assert_close(network(rgba), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (200, 130)])
def test_images_of_any_size_are_scaled(size: tuple[int, int]) -> None:
    network = EfficientNetLite0(side=64)
    assert network(images(size).float()).shape == (2, network.size)


@pytest.mark.parametrize(
    ("side", "blocks", "size"),
    [(128, 16, 320 * 4 * 4), (128, 11, 112 * 8 * 8), (96, 16, 320 * 3 * 3), (50, 15, 192 * 2 * 2)],
)
def test_the_size_is_that_of_the_features(side: int, blocks: int, size: int) -> None:
    network = EfficientNetLite0(side, blocks)
    assert network.size == size
    assert network(torch.rand(1, 4, 64, 64)).shape == (1, size)


def test_no_image_depends_on_the_others_and_training_mode_changes_nothing() -> None:
    network = EfficientNetLite0(side=64)
    batch = images((64, 64)).float()
    together = network.train()(batch)
    alone = torch.cat([network.eval()(image[None]) for image in batch])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_what_is_transparent_is_white() -> None:
    network = EfficientNetLite0(side=32, blocks=3)
    clear, white = torch.rand(1, 4, 32, 32), torch.ones(1, 4, 32, 32)
    clear[:, 3] = 0
    torch.testing.assert_close(network(clear), network(white))


@pytest.mark.parametrize(
    ("change", "named"),
    [({"blocks": 0}, "blocks"), ({"blocks": 17}, "blocks"), ({"side": 0}, "side")],
)
def test_bad_numbers_are_refused(change: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=f"{named} .*got"):
        EfficientNetLite0(**change)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (4, 8, 8)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"image must be \[B, 4, H, W\], got"):
        EfficientNetLite0(side=32)(torch.rand(*shape))
