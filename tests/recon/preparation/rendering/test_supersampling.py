from __future__ import annotations

import pytest
import torch

from recon.preparation.rendering.supersampling import (
    MAX_SUPERSAMPLE,
    PENDING,
    average_samples,
    color_samples,
    pack_colors,
    pack_texels,
)


def samples(colors: dict[tuple[int, int], list[float]], size: tuple[int, int], supersample: int):
    """One image of samples, some of them coloured."""
    seen = torch.full((1, *size), -1, dtype=torch.int32)
    for face, place in enumerate(colors):
        seen[0, place[0], place[1]] = face
    table = pack_colors(torch.tensor([list(colors.values())]), supersample)
    return color_samples(seen, table)


def test_average_is_over_covered_samples_only() -> None:
    colors = {(0, 0): [0.2, 0.4, 0.6], (1, 1): [0.4, 0.4, 0.0]}
    image = average_samples(samples(colors, (2, 4), 2), 2)[0, :, 0]
    assert image[:, 0].tolist() == [76, 102, 76, 128]
    assert image[:, 1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("supersample", [1, 2, 3, 4, 7, MAX_SUPERSAMPLE])
def test_averages_are_exact_for_eight_bit_colours(supersample: int) -> None:
    generator = torch.Generator().manual_seed(supersample)
    side = 3 * supersample
    faces = torch.randint(0, 256, (2, 50, 3), generator=generator)
    faces[:, 0] = 255  # a pixel full of these must not overflow
    seen = torch.randint(-1, 50, (2, side, side), generator=generator, dtype=torch.int32)
    seen[:, :supersample, :supersample] = 0
    image = average_samples(color_samples(seen, pack_colors(faces / 255, supersample)), supersample)
    assert image.dtype == torch.uint8
    assert image[:, :, 0, 0].tolist() == [[255] * 4] * 2
    blocks = seen.view(2, 3, supersample, 3, supersample).permute(0, 1, 3, 2, 4).flatten(3)
    covered = (blocks >= 0)[..., None]
    values = torch.stack([faces[view][blocks[view].long()] for view in range(2)]) * covered
    mean = values.sum(3).double() / covered.sum(3).clamp(min=1)
    assert (image[:, :3].permute(0, 2, 3, 1) - mean).abs().max() <= 0.5 + 1e-4
    alpha = covered[..., 0].double().mean(3) * 255
    assert (image[:, 3] - alpha).abs().max() <= 0.5 + 1e-4


@pytest.mark.parametrize("supersample", [1, 4, MAX_SUPERSAMPLE])
def test_lit_texels_are_colours(supersample: int) -> None:
    generator = torch.Generator().manual_seed(0)
    texels = torch.randint(0, 256, (500, 4), generator=generator, dtype=torch.uint8)
    light = torch.rand(500, generator=generator) * 1.2
    samples = pack_texels(texels, light, supersample)[:, None, None]
    samples = samples.expand(-1, supersample, supersample).contiguous()
    pixels = average_samples(samples, supersample)[:, :, 0, 0]
    expected = (texels[:, :3] * light[:, None]).clamp(max=255)
    # Rounded in the arrays, and then in the pixel.
    tolerance = 0.5 + {1: 0.5 / 257, 4: 0.5 / 16, MAX_SUPERSAMPLE: 0.5}[supersample]
    assert (pixels[:, :3] - expected).abs().max() <= tolerance + 1e-4
    assert (pixels[:, 3] == 255).all()


def test_pending_is_no_colour() -> None:
    assert (pack_colors(torch.rand(100, 3), 1) > 0).all()
    assert (pack_colors(torch.ones(1, 3), MAX_SUPERSAMPLE) > 0).all()
    assert PENDING < 0
