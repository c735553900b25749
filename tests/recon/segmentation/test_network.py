"""The network that tells an object from its background."""

from __future__ import annotations

import pytest
import torch

from recon.segmentation.network import SegmentationNetwork


def test_every_pixel_gets_a_number_and_every_weight_a_gradient() -> None:
    network = SegmentationNetwork((4, 8, 8))
    logits = network(torch.rand(2, 3, 24, 16))
    assert logits.shape == (2, 24, 16)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_pixel_is_judged_by_what_is_far_from_it() -> None:
    torch.manual_seed(0)
    network = SegmentationNetwork().eval()
    image = torch.rand(1, 3, 64, 64).requires_grad_()
    network(image)[0, 32, 32].backward()
    assert image.grad is not None
    assert (image.grad.abs().sum((0, 1)) > 0).float().mean() > 0.9


def test_an_image_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(ValueError, match=r"multiples of 4 pixels, got \[1, 3, 24, 18\]"):
        SegmentationNetwork((4, 8, 8))(torch.rand(1, 3, 24, 18))
    with pytest.raises(ValueError, match=r"images must be .* got \[1, 4, 16, 16\]"):
        SegmentationNetwork((4, 8, 8))(torch.rand(1, 4, 16, 16))


@pytest.mark.parametrize("channels", [(), (4, 0)])
def test_a_network_needs_channels(channels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="channels must be numbers >= 1"):
        SegmentationNetwork(channels)
