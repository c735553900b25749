"""The perceptual loss: what it tells apart, gradients, weights, and bad input."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from recon.losses.perceptual import PerceptualLoss
from recon.rendering.compositing import over_black


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def test_perceptual_loss_tells_images_apart() -> None:
    loss = PerceptualLoss(layers=(1, 3, 6))
    images = random(2, 4, 16, 16).float()
    truth = torch.cat((over_black(images), images[:, 3:]), dim=1).requires_grad_()
    assert loss(truth, images).item() == pytest.approx(0, abs=1e-10)
    near, far = truth + 0.02 * torch.randn(2, 4, 16, 16), random(2, 4, 16, 16, seed=3).float()
    assert 0 < loss(near, images).item() < 0.5 * loss(far, images).item()
    (gradient,) = torch.autograd.grad(loss(truth + 0.1, images), truth)
    assert bool(torch.isfinite(gradient).all())
    assert gradient.abs().max() > 0
    assert not [weight for weight in loss.parameters() if weight.requires_grad]


def test_perceptual_loss_has_exact_gradients() -> None:
    loss = PerceptualLoss(layers=(1, 3)).double()
    images = random(1, 4, 6, 6)
    rgba = random(1, 4, 6, 6, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda r: loss(r, images), (rgba,), fast_mode=True)


def test_random_weights_depend_on_the_seed_alone() -> None:
    before = torch.get_rng_state()
    first, second = PerceptualLoss(layers=(0,)), PerceptualLoss(layers=(0,), seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.features[0].weight, PerceptualLoss(layers=(0,)).features[0].weight)
    assert not torch.equal(first.features[0].weight, second.features[0].weight)


@pytest.mark.parametrize("prefix", ["features.", ""])
def test_weights_come_from_a_file(tmp_path: Path, prefix: str) -> None:
    from recon.losses.perceptual import _vgg16_features

    state = {prefix + name: value for name, value in _vgg16_features(7).state_dict().items()}
    if prefix:
        state["classifier.0.bias"] = torch.zeros(3)
    path = tmp_path / "vgg16.pth"
    torch.save(state, path)
    loss = PerceptualLoss(path, layers=(3,))
    assert torch.equal(loss.features[2].weight, state[f"{prefix}2.weight"])


def test_bad_weights_and_layers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        PerceptualLoss(tmp_path / "absent.pth")
    path = tmp_path / "other.pth"
    torch.save({"linear.weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"other\.pth does not hold the weights"):
        PerceptualLoss(path)
    for layers in ((), (3, 1), (-1,), (40,)):
        with pytest.raises(ValueError, match="layers must be"):
            PerceptualLoss(layers=layers)
