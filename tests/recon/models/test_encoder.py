from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from recon.models.encoder import SoftRasEncoder


def small(**change: Any) -> SoftRasEncoder:
    arguments: dict[str, Any] = {"channels": (4, 6), "hidden": (8,), "latent": 5, "image_size": 16}
    return SoftRasEncoder(**{**arguments, **change})


def test_default_layers_are_those_of_the_paper() -> None:
    encoder = SoftRasEncoder()
    convolutions = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    described = [(c.in_channels, c.out_channels, c.kernel_size, c.stride) for c in convolutions]
    assert described == [
        (4, 64, (5, 5), (2, 2)),
        (64, 128, (5, 5), (2, 2)),
        (128, 256, (5, 5), (2, 2)),
    ]
    linears = [m for m in encoder.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linears] == [
        (256 * 8 * 8, 1024),
        (1024, 1024),
        (1024, 512),
    ]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in encoder.modules()) == 3
    assert encoder(torch.rand(2, 4, 64, 64)).shape == (2, 512)


def test_refinement_layers_keep_the_resolution() -> None:
    encoder = small(num_refinement_layers=2)
    strides = [m.stride for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert strides == [(2, 2), (2, 2), (1, 1), (1, 1)]
    assert encoder(torch.rand(3, 4, 16, 16)).shape == (3, 5)


@pytest.mark.parametrize("image_size", [7, 16, 17, 30])
def test_any_image_size(image_size: int) -> None:
    encoder = small(image_size=image_size, in_channels=3)
    output = encoder(torch.rand(2, 3, image_size, image_size))
    assert output.shape == (2, 5)
    assert (output >= 0).all()


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    encoder = small(latent=32)
    encoder(torch.rand(4, 4, 16, 16)).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (2, 4, 16, 17), (4, 16, 16)])
def test_bad_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"image must have shape \[B, 4, 16, 16\], got"):
        small()(torch.rand(shape))


def test_integers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"floating point in .*got torch.uint8"):
        small()(torch.zeros(1, 4, 16, 16, dtype=torch.uint8))


@pytest.mark.parametrize(
    "change",
    [
        {"latent": 0},
        {"channels": (4, 0)},
        {"channels": ()},
        {"hidden": (-1,)},
        {"image_size": 0},
        {"num_refinement_layers": -1},
    ],
)
def test_bad_arguments_are_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        small(**change)


def test_features_of_a_backbone_change_what_is_encoded() -> None:
    torch.manual_seed(0)
    encoder = small(features=7)
    images = torch.rand(3, 4, 16, 16)
    features = torch.rand(3, 7, requires_grad=True)
    latent = encoder(images, features)
    assert latent.shape == (3, 5)
    latent.square().sum().backward()
    assert features.grad is not None
    assert float(features.grad.abs().min(dim=0).values.max()) > 0


@pytest.mark.parametrize(
    ("taken", "given"), [(7, None), (7, torch.rand(2, 6)), (0, torch.rand(2, 7))]
)
def test_features_of_another_length_are_refused(taken: int, given: torch.Tensor | None) -> None:
    with pytest.raises(ValueError, match=r"features must be .*, got"):
        small(features=taken)(torch.rand(2, 4, 16, 16), given)
