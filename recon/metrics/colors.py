"""Metrics of colour inside the true mask, image by image.

All compare two RGB images at the pixels where a mask says that the object is. An image whose mask
is empty has no value: it gets NaN, which means leave out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recon.rendering.compositing import over_black

# Wang et al., Image quality assessment (IEEE TIP 2004): the window and the constants.
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
SSIM_K1, SSIM_K2 = 0.01, 0.03
# The PSNR of equal images would be infinite, and so every mean with one; 8 bits end near 59 dB.
MAX_PSNR = 100.0


def masked_l1(prediction: Tensor, truth: Tensor, masks: Tensor) -> Tensor:
    """Computes the mean absolute difference of colours inside the masks.

    Args:
        prediction: [B, 3, H, W] sRGB in [0, 1].
        truth: [B, 3, H, W] sRGB in [0, 1].
        masks: [B, H, W] bool, the true masks.

    Returns:
        [B] in [0, 1]; lower is better; NaN where a mask is empty.

    Raises:
        ValueError: If shapes disagree, or masks are not bool.
    """
    _require_images(prediction, truth, masks)
    return _inside((prediction.double() - truth.double()).abs().mean(dim=1), masks)


def masked_psnr(prediction: Tensor, truth: Tensor, masks: Tensor) -> Tensor:
    """Computes the peak signal-to-noise ratio of colours inside the masks, in decibels.

    -10 log10 of the mean squared difference over the pixels of the mask and the channels.

    Args:
        prediction: [B, 3, H, W] sRGB in [0, 1].
        truth: [B, 3, H, W] sRGB in [0, 1].
        masks: [B, H, W] bool, the true masks.

    Returns:
        [B] at most `MAX_PSNR`; higher is better; NaN where a mask is empty.

    Raises:
        ValueError: If shapes disagree, or masks are not bool.
    """
    _require_images(prediction, truth, masks)
    error = _inside((prediction.double() - truth.double()).square().mean(dim=1), masks)
    return -10 * error.clamp(min=10 ** (-MAX_PSNR / 10)).log10()


def masked_ssim(prediction: Tensor, truth: Tensor, masks: Tensor) -> Tensor:
    """Computes the mean structural similarity of the pixels inside the masks.

    Both images are black outside of the mask, so that windows which reach over its border see
    the object alone; beyond the border of the image they are reflected. Mean over the channels.

    Args:
        prediction: [B, 3, H, W] sRGB in [0, 1], H and W at least 6.
        truth: [B, 3, H, W] sRGB in [0, 1].
        masks: [B, H, W] bool, the true masks.

    Returns:
        [B] in [-1, 1]; higher is better; NaN where a mask is empty.

    Raises:
        ValueError: If shapes disagree, masks are not bool, or images are too small.

    Source: Wang et al., Image quality assessment, IEEE TIP 2004, equation 13, with an 11 x 11
    Gaussian window of sigma 1.5.
    """
    _require_images(prediction, truth, masks)
    reach = SSIM_WINDOW // 2
    if min(masks.shape[1:]) <= reach:
        raise ValueError(f"images must be larger than {reach}, got {tuple(masks.shape[1:])}")
    seen = masks[:, None].double()
    x, y = prediction.double() * seen, truth.double() * seen
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x = _blurred(x * x) - mean_x.square()
    var_y = _blurred(y * y) - mean_y.square()
    covariance = _blurred(x * y) - mean_x * mean_y
    c1, c2 = SSIM_K1**2, SSIM_K2**2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x.square() + mean_y.square() + c1) * (var_x + var_y + c2)
    )
    return _inside(similarity.mean(dim=1), masks)


def color_scores(prediction: Tensor, truth: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """Computes all metrics: `color_l1`, `color_psnr` and `color_ssim`, each [B].

    Args:
        prediction: [B, 4, H, W] a rendering over black.
        truth: [B, 4, H, W] images, colours not multiplied by alpha.
        masks: [B, H, W] bool, the true masks.

    Raises:
        ValueError: If shapes disagree, masks are not bool, or images are too small.
    """
    if prediction.shape != truth.shape or truth.dim() != 4 or truth.shape[1] != 4:
        raise ValueError(
            "prediction and truth must be [B, 4, H, W], "
            f"got {list(prediction.shape)} and {list(truth.shape)}"
        )
    pair = prediction[:, :3].clamp(0, 1), over_black(truth)
    return {
        "color_l1": masked_l1(*pair, masks),
        "color_psnr": masked_psnr(*pair, masks),
        "color_ssim": masked_ssim(*pair, masks),
    }


def mean_color(images: Tensor) -> Tensor:
    """Computes the mean colour of what images show: the simplest prediction of colours.

    Args:
        images: [B, 4, H, W] RGBA in [0, 1], colours not multiplied by alpha.

    Returns:
        [B, 3], the mean weighted by alpha; grey where all is transparent.

    Raises:
        ValueError: If the shape is another one.
    """
    if images.dim() != 4 or images.shape[1] != 4:
        raise ValueError(f"images must be [B, 4, H, W], got {list(images.shape)}")
    colors, alpha = images[:, :3], images[:, 3:]
    weight = alpha.sum(dim=(2, 3))
    mean = (colors * alpha).sum(dim=(2, 3)) / torch.where(weight > 0, weight, 1.0)
    return torch.where(weight > 0, mean, 0.5)


def _inside(values: Tensor, masks: Tensor) -> Tensor:
    """Returns the mean [B] of values [B, H, W] inside the masks, NaN of none."""
    return torch.where(masks, values, 0.0).sum(dim=(1, 2)) / masks.sum(dim=(1, 2))


def _blurred(images: Tensor) -> Tensor:
    """Returns Gaussian means around every pixel, reflected at the border."""
    rows, columns = (_blur_matrix(length).to(images) for length in images.shape[2:])
    return rows @ images @ columns.T  # several times faster than convolutions in float64


def _blur_matrix(length: int) -> Tensor:
    """Returns the weights [length, length] of the places along a line in the mean around each."""
    reach = SSIM_WINDOW // 2
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    window = torch.exp(-offsets.square() / (2 * SSIM_SIGMA**2))
    places = torch.arange(length)[:, None] + torch.arange(-reach, reach + 1)
    last = length - 1
    reflected = last - (last - places.abs()).abs()
    weights = (window / window.sum()).expand(length, -1)
    return weights.new_zeros(length, length).scatter_add(1, reflected, weights)


def _require_images(prediction: Tensor, truth: Tensor, masks: Tensor) -> None:
    if prediction.dim() != 4 or prediction.shape[1] != 3 or prediction.shape != truth.shape:
        raise ValueError(
            "prediction and truth must have one shape [B, 3, H, W], "
            f"got {list(prediction.shape)} and {list(truth.shape)}"
        )
    if masks.dtype != torch.bool or masks.shape != (len(truth), *truth.shape[2:]):
        raise ValueError(
            f"masks must be bool {[len(truth), *truth.shape[2:]]}, "
            f"got {masks.dtype} {list(masks.shape)}"
        )
