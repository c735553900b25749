"""Losses of silhouettes: values by hand, bounds, gradients, and bad input."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recon.losses.silhouette import silhouette_iou_loss, silhouette_squared_loss


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_iou_loss_of_hand_made_images() -> None:
    mask = torch.zeros(1, 4, 4)
    mask[0, :2] = 1
    shifted = mask.roll(1, dims=1)
    # intersection 4, union 12
    assert silhouette_iou_loss(shifted, mask).item() == pytest.approx(1 - 4 / 12)
    assert silhouette_iou_loss(mask, mask.bool()).item() == pytest.approx(0, abs=1e-6)
    assert silhouette_iou_loss(1 - mask, mask).item() == 1
    # soft: sum(a m) = 8 * 0.5, sum(a + m - a m) = 8
    assert silhouette_iou_loss(0.5 * mask, mask).item() == pytest.approx(0.5)


def test_squared_loss_of_hand_made_images() -> None:
    mask = torch.zeros(2, 4, 4)
    mask[0, :2] = 1
    alpha = mask.clone()
    alpha[0, 0, 0], alpha[1, 0, 0] = 0.5, 0.5
    # 0.25 of an area of 8, and of an empty mask, which counts as one pixel
    expected = (0.25 / 8 + 0.25) / 2
    assert silhouette_squared_loss(alpha, mask).item() == pytest.approx(expected)
    assert silhouette_squared_loss(mask, mask.bool()).item() == 0
    with pytest.raises(ValueError, match="one shape"):
        silhouette_squared_loss(alpha, mask[:1])


def test_squared_loss_is_least_at_partly_covered_pixels_and_iou_is_not() -> None:
    mask = torch.tensor([[[0.0, 0.4, 1.0, 0.3]]])

    def at(share: float, loss: Callable[[Tensor, Tensor], Tensor]) -> float:
        alpha = mask.clone()
        alpha[0, 0, 1] = share
        return loss(alpha, mask).item()

    assert at(0.4, silhouette_squared_loss) < min(
        at(s, silhouette_squared_loss) for s in (0.3, 0.5)
    )
    assert at(0.4, silhouette_iou_loss) > at(1.0, silhouette_iou_loss)


def test_iou_loss_is_a_mean_over_images_and_not_over_pooled_pixels() -> None:
    alpha, mask = random(3, 5, 7), random(3, 5, 7, seed=1) > 0.7
    single = [silhouette_iou_loss(alpha[i : i + 1], mask[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(silhouette_iou_loss(alpha, mask), torch.stack(single).mean())
    i, u = (alpha * mask).sum((1, 2)), (alpha + mask - alpha * mask).sum((1, 2))
    torch.testing.assert_close(silhouette_iou_loss(alpha, mask), (1 - i / (u + 1e-6)).mean())
    assert not torch.isclose(silhouette_iou_loss(alpha, mask), 1 - i.sum() / u.sum())


def test_iou_loss_of_empty_images_is_one_with_a_finite_gradient() -> None:
    alpha = torch.zeros(2, 3, 3, requires_grad=True)
    loss = silhouette_iou_loss(alpha, torch.zeros(2, 3, 3))
    assert loss.item() == 1
    assert torch.isfinite(torch.autograd.grad(loss, alpha)[0]).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["soft", "binary", "saturated"]))
def test_iou_loss_lies_in_zero_one(seed: int, kind: str) -> None:
    alpha, mask = random(2, 6, 5, seed=seed).float(), random(2, 6, 5, seed=seed + 1) > 0.5
    if kind != "soft":
        alpha = mask.float() if kind == "saturated" else (alpha > 0.5).float()
    assert 0 <= silhouette_iou_loss(alpha, mask).item() <= 1


def test_iou_loss_passes_gradcheck_and_bfloat16_is_summed_in_float32() -> None:
    mask = random(2, 4, 3, seed=1) > 0.5
    alpha = random(2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: silhouette_iou_loss(a, mask), (alpha,))
    large = torch.ones(1, 64, 64, dtype=torch.bfloat16)
    large[0, 0, 0] = 0  # 4095 is not a bfloat16
    assert silhouette_iou_loss(large, torch.ones(1, 64, 64)).item() == pytest.approx(1 / 4096)


@pytest.mark.parametrize("loss", [silhouette_iou_loss, silhouette_squared_loss])
def test_the_losses_of_images_are_given_one_by_one(loss: Callable[..., Tensor]) -> None:
    alpha, mask = random(3, 5, 7), random(3, 5, 7, seed=1) > 0.7
    each = loss(alpha, mask, reduction="none")
    assert each.shape == (3,)
    assert torch.equal(each.mean(), loss(alpha, mask))
    with pytest.raises(ValueError, match="reduction must be 'mean' or 'none', got 'sum'"):
        loss(alpha, mask, reduction="sum")


@pytest.mark.parametrize(
    ("alpha", "mask"), [((2, 4, 4), (2, 4, 5)), ((4, 4), (4, 4)), ((0, 4, 4), (0, 4, 4))]
)
def test_iou_loss_refuses_bad_shapes(alpha: tuple[int, ...], mask: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="alpha and mask must have one shape"):
        silhouette_iou_loss(torch.zeros(alpha), torch.zeros(mask))
