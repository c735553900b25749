from __future__ import annotations

import numpy as np
import pytest
import torch

from recon.formats.resampling import PixelMap, fit_image, shrink
from recon.geometry.cameras import Cameras


@pytest.fixture
def rgba() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)


def test_resizing_averages_areas_with_alpha_as_weight() -> None:
    rgba = np.zeros((4, 3, 3), np.uint8)
    rgba[:, 0, 0] = (200, 100, 0, 255)
    rgba[:, 1, 1] = (0, 50, 250, 255)
    rgba[:3, 1, 2] = 77  # transparent: its colour must not count
    resized = fit_image(rgba, (1, 1))[0][:, 0, 0]
    assert resized.tolist() == [100, 75, 125, 57]  # 2 of 9 pixels


@pytest.mark.parametrize("aspect", ["pad", "crop"])
@pytest.mark.parametrize("size", [(40, 40), (30, 90), (64, 16), (137, 100)])
def test_intrinsics_follow_the_pixels(aspect: str, size: tuple[int, int]) -> None:
    """A blob is in the new image where the new intrinsics project it."""
    centre = np.array([62.5, 43.5, 1.0])
    x, y = np.meshgrid(np.arange(120), np.arange(90))
    rgba = np.zeros((4, 90, 120), np.uint8)
    rgba[3] = np.rint(255 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 18))
    fitted, pixels = fit_image(rgba, size, aspect)
    assert fitted.shape == (4, *size)
    alpha = fitted[3].astype(float)
    found = [
        (alpha * np.arange(size[1])).sum() / alpha.sum(),
        (alpha * np.arange(size[0])[:, None]).sum() / alpha.sum(),
    ]
    assert found == pytest.approx(list((pixels.intrinsics(np.eye(3)) @ centre)[:2]), abs=0.02)
    assert alpha.sum() == pytest.approx(pixels.scale[0] ** 2 * rgba[3].sum(), rel=0.02)
    ratios = size[0] / 90, size[1] / 120
    wanted = min(ratios) if aspect == "pad" else max(ratios)
    assert pixels.scale == pytest.approx((wanted, wanted))


@pytest.mark.parametrize("aspect", ["pad", "crop"])
@pytest.mark.parametrize("size", [(40, 40), (30, 90), (64, 16)])
def test_cameras_follow_the_pixels(aspect: str, size: tuple[int, int]) -> None:
    """Projections through the new cameras are where the pixel map takes those of the old ones."""
    old, points = (90, 120), torch.rand(2, 9, 3, dtype=torch.float64)
    inner = torch.tensor([[2.0, 2.5], [3.0, 3.0]]), torch.tensor([[0.1, -0.2], [0.0, 0.3]])
    orbit = Cameras.orbit(*torch.tensor([[10.0, 70.0], [30.0, -20.0], [3.0, 4.0], [40.0, 40.0]]))
    cameras = Cameras(orbit.rotation, orbit.translation, *inner).to(dtype=torch.float64)
    _, pixels = fit_image(np.zeros((4, *old), np.uint8), size, aspect)

    def project(cameras: Cameras, size: tuple[int, int]) -> torch.Tensor:
        height, width = size
        x, y, _ = cameras.project(points, size).unbind(2)
        half = min(size) / 2
        return torch.stack([x * half + (width - 1) / 2, (height - 1) / 2 - y * half], 2)

    moved = project(cameras, old) * torch.tensor(pixels.scale) + torch.tensor(pixels.offset)
    assert torch.allclose(project(pixels.cameras(cameras, old, size), size), moved, atol=1e-4)


def test_padding_is_transparent_and_null_keeps_the_image() -> None:
    rgba = np.full((4, 10, 20), 255, np.uint8)
    padded, _ = fit_image(rgba, (20, 20))
    assert (padded[3, 5:15] == 255).all()
    assert not padded[:, :5].any()
    assert not padded[:, 15:].any()
    cropped, _ = fit_image(rgba, (20, 20), "crop")
    assert (cropped == 255).all()
    same, pixels = fit_image(rgba, None)
    assert same is rgba
    assert (pixels.intrinsics(np.eye(3)) == np.eye(3)).all()
    with pytest.raises(ValueError, match="aspect must be one of"):
        fit_image(rgba, (5, 5), "stretch")


def test_shrinking_keeps_what_is_small_and_weighs_colours_by_alpha(rgba: np.ndarray) -> None:
    image = np.ascontiguousarray(rgba.transpose(2, 0, 1))
    same = shrink(image, 7)
    assert (same == image).all()
    assert same is not image
    large = np.zeros((4, 40, 80), np.uint8)
    large[:, :, :40] = np.array([200, 100, 0, 255])[:, None, None]
    large[:3, :, 40:] = 77  # transparent: its colour must not count
    small = shrink(large, 20)
    assert small.shape == (4, 10, 20)
    assert (small[:3, :, :9] == np.array([200, 100, 0])[:, None, None]).all()


def test_maps_of_pixels_follow_each_other_and_lead_back() -> None:
    first, second = PixelMap((2.0, 3.0), (1.0, -1.0)), PixelMap((0.5, 4.0), (0.25, 2.0))
    both = first.then(second)
    assert both.scale == (1.0, 12.0)
    assert both.offset == (0.5 * 1.0 + 0.25, 4.0 * -1.0 + 2.0)
    around = both.then(both.inverse())
    assert around.scale == pytest.approx((1, 1))
    assert around.offset == pytest.approx((0, 0))
