"""Colour heads: which pixels they pick, what they can learn, and that their gradients are exact."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recon.models import PaletteHead, VertexColorHead

V, F = 42, 80  # of an icosphere split once


def head(kind: str, texels: int = 0, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    if kind == "vertex":
        return VertexColorHead(V, F, 5, texels, hidden=(6,))
    settings = {"palette": 3, "width": 4, "modes": 5, "hidden": (6,)} | options
    return PaletteHead(V, F, 5, texels, **settings)


def half_transparent(colors: Tensor, size: int = 8) -> Tensor:
    """[B, 4, size, size]: colours [B, 3] in the left half, magenta without opacity in the right."""
    image = torch.tensor([1.0, 0, 1, 0])[:, None, None].repeat(len(colors), 1, size, size)
    image[:, :3, :, : size // 2] = colors[:, :, None, None]
    image[:, 3, :, : size // 2] = 1
    return image


@pytest.mark.parametrize("kind", ["palette", "vertex"])
@pytest.mark.parametrize("texels", [0, 1, 3])
def test_colors_are_rgb_of_vertices_or_texels(kind: str, texels: int) -> None:
    with torch.no_grad():
        colors = head(kind, texels)(torch.randn(2, 5), torch.rand(2, 4, 8, 6))
    assert colors.shape == ((2, F, texels**2, 3) if texels else (2, V, 3))
    assert 0 <= float(colors.min()) < float(colors.max()) <= 1
    none = head(kind, texels)(torch.empty(0, 5), torch.empty(0, 4, 8, 6))
    assert none.shape == (0, *colors.shape[1:])


@pytest.mark.parametrize("texels", [0, 2])
def test_a_palette_shows_only_colors_of_the_object(texels: int) -> None:
    model = head("palette", texels)
    colors = torch.tensor([[0.2, 0.5, 0.9], [0.7, 0.1, 0.0]])
    found = model(torch.randn(2, 5), half_transparent(colors)).reshape(2, -1, 3)
    torch.testing.assert_close(found, colors[:, None].expand_as(found))


def test_the_paint_of_transparent_pixels_does_not_matter() -> None:
    model, latent = head("palette"), torch.randn(1, 5)
    image = half_transparent(torch.rand(1, 3))
    other = torch.where(
        image[:, 3:] > 0, image, image.roll(1, 1) * torch.tensor([1, 1, 1, 0.0])[:, None, None]
    )
    assert not torch.equal(image, other)
    torch.testing.assert_close(model(latent, image), model(latent, other))


def test_half_opaque_pixels_count_half() -> None:
    model = head("palette")
    nn.init.zeros_(model.queries.weight)
    nn.init.zeros_(model.queries.bias)  # all pixels alike but for their opacity
    image = torch.zeros(1, 4, 1, 2)
    image[0, :, 0, 0], image[0, :, 0, 1] = (
        torch.tensor([1, 0, 0, 1.0]),
        torch.tensor([0, 1, 0, 0.5]),
    )
    colors = model(torch.randn(1, 5), image)
    torch.testing.assert_close(colors[0], torch.tensor([2 / 3, 1 / 3, 0]).expand(V, 3))


def test_pixels_without_opacity_can_be_left_out() -> None:
    model, latent = head("palette").double(), torch.randn(6, 5, dtype=torch.float64)
    # As full as images get, and empty; with half opaque pixels.
    opaque = torch.rand(6, 1, 7, 9) < torch.tensor([1, 0.7, 0.3, 0.1, 0.02, 0])[:, None, None, None]
    alpha = torch.where(opaque, torch.rand(6, 1, 7, 9), 0.0)
    image = torch.cat((torch.rand(6, 3, 7, 9), alpha), 1).double()
    queries = model.queries(model.trunk(latent)).unflatten(1, (3, 4))

    def palettes_and_gradients(choose: Any) -> list[Tensor]:
        seen = image.clone().requires_grad_()
        palettes = choose(queries, seen)
        weights = [value for name, value in model.named_parameters() if name.startswith("keys")]
        total = (palettes * torch.arange(54, dtype=torch.float64).view(6, 3, 3)).sum()
        # The last bias moves all weights of a palette alike, so its gradient is rounding alone.
        inputs = (model.queries.weight, *weights[:-1], seen)
        return [palettes, *torch.autograd.grad(total, inputs, retain_graph=True)]

    expected = palettes_and_gradients(model._palette_of_all_pixels)
    torch.testing.assert_close(palettes_and_gradients(model._palette_of_seen_pixels), expected)


def test_an_empty_image_gives_finite_colors_and_gradients() -> None:
    model = head("palette")
    image = torch.zeros(1, 4, 4, 4, requires_grad=True)
    colors = model(torch.randn(1, 5), image)
    assert bool(torch.isfinite(colors).all())
    (gradient,) = torch.autograd.grad(colors.sum(), image)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("kind", ["palette", "vertex"])
def test_gradients_are_exact(kind: str) -> None:
    model = head(kind, texels=1).double()
    generator = torch.Generator().manual_seed(1)
    latent = torch.randn(2, 5, generator=generator, dtype=torch.float64).requires_grad_()
    image = 0.1 + 0.8 * torch.rand(2, 4, 4, 4, generator=generator, dtype=torch.float64)
    names = [name for name, _ in model.named_parameters()]
    weights = [weight.detach().requires_grad_() for weight in model.parameters()]

    def function(latent: Tensor, image: Tensor, *weights: Tensor) -> Tensor:
        values = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(model, values, (latent, image))

    inputs = (latent, image.requires_grad_(), *weights)
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize("kind", ["palette", "vertex"])
def test_under_autocast_colors_are_float32_and_close(kind: str) -> None:
    model, latent, image = head(kind), torch.randn(2, 5), torch.rand(2, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        colors = model(latent, image)
    assert colors.dtype == torch.float32
    torch.testing.assert_close(colors, model(latent, image), atol=0.02, rtol=0)


def test_a_palette_learns_which_pixels_to_pick_and_where_to_put_them() -> None:
    """Two-coloured images of any colours: the upper one to the first half of the vertices."""
    generator = torch.Generator().manual_seed(0)
    model = head("palette", width=8, hidden=(16,))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)

    def batch() -> tuple[Tensor, Tensor]:
        pair = torch.rand(16, 2, 3, generator=generator)
        image = torch.ones(16, 4, 6, 6)
        image[:, :3] = pair.transpose(1, 2)[..., None].repeat_interleave(3, 2).expand(-1, -1, -1, 6)
        return image, pair.repeat_interleave(V // 2, dim=1)

    latent, errors = torch.ones(16, 5), []
    for _ in range(150):
        image, truth = batch()
        loss = (model(latent, image) - truth).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    # The colours are new in every step, so a head which learned colours by heart would stay at 1/4.
    assert errors[0] > 0.1
    assert sum(errors[-5:]) / 5 < 0.04


def test_bad_settings_and_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="palette, width, modes"):
        PaletteHead(V, F, palette=0)
    with pytest.raises(ValueError, match="texels >= 0, got 42, 80 and -1"):
        VertexColorHead(V, F, texels=-1)
    with pytest.raises(ValueError, match="latent and hidden"):
        VertexColorHead(V, F, hidden=(0,))
    for kind in ("palette", "vertex"):
        with pytest.raises(ValueError, match=r"latent must be \[B, 5\], got \[2, 6\]"):
            head(kind)(torch.ones(2, 6), torch.ones(2, 4, 8, 8))
        with pytest.raises(ValueError, match=r"image must be \[2, 4, H, W\], got \[1, 4, 8, 8\]"):
            head(kind)(torch.ones(2, 5), torch.ones(1, 4, 8, 8))
