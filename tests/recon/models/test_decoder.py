from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recon.geometry.meshes import icosphere
from recon.geometry.mirror import mirror_vertices
from recon.models.decoder import MeshDecoder, deform_template

TEMPLATE = icosphere(1).vertices.double() * 0.5


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_no_offset_and_no_centroid_give_half_the_template() -> None:
    vertices = deform_template(TEMPLATE, torch.zeros(1, 3), torch.zeros(1, 42, 3))
    torch.testing.assert_close(vertices[0], 0.5 * TEMPLATE)


def test_hand_computed_deformation() -> None:
    # logit(0.25) = -ln 3; offset ln 3 gives 0.5, and 2 ln 3 gives 0.75; c = tanh(atanh(0.2)).
    template = torch.tensor([[0.25, -0.25, 0.0]], dtype=torch.float64)
    log3 = torch.log(torch.tensor(3.0, dtype=torch.float64))
    centroid = torch.full((1, 3), 0.2, dtype=torch.float64).atanh()
    offset = torch.stack((log3, 2 * log3, torch.tensor(5.0, dtype=torch.float64)))[None, None]
    vertices = deform_template(template, centroid, offset)[0, 0]
    expected = [0.5 * (0.5 * 0.8 + 0.2), 0.5 * (-0.75 * 1.2 + 0.2), 0.5 * 0.2]
    assert vertices.tolist() == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 5))
def test_coordinates_stay_inside_the_cube(seed: int, spread: float) -> None:
    centroid = spread * random(2, 3, seed=seed)
    offset = spread * random(2, 42, 3, seed=seed + 1)
    coordinates = deform_template(TEMPLATE, centroid, offset).abs()
    assert (coordinates <= 0.5).all()
    # Beyond, the distance to a side may be less than rounding leaves.
    assert spread > 1.5 or (coordinates < 0.5).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [20.0, 1e4, 1e30])
def test_saturated_coordinates_reach_but_never_pass_the_cube(
    dtype: torch.dtype, size: float
) -> None:
    centroid = (size * random(64, 3)).to(dtype).requires_grad_()
    offset = (size * random(64, 42, 3, seed=1)).to(dtype).requires_grad_()
    vertices = deform_template(TEMPLATE.to(dtype), centroid, offset)
    assert (vertices.abs() <= 0.5).all()
    for gradient in torch.autograd.grad(vertices.sum(), (centroid, offset)):
        assert torch.isfinite(gradient).all()


def test_vertices_stay_in_their_octant_around_the_centroid() -> None:
    centroid, offset = random(5, 3), random(5, 42, 3, seed=1)
    from_centroid = deform_template(TEMPLATE, centroid, offset) - 0.5 * centroid.tanh()[:, None]
    on_plane = (TEMPLATE == 0).expand_as(from_centroid)
    signs = TEMPLATE.sign().expand_as(from_centroid)
    assert torch.equal(from_centroid[~on_plane].sign(), signs[~on_plane])
    assert on_plane.any()
    assert from_centroid[on_plane].abs().max() < 1e-15


def test_a_zero_coordinate_takes_a_zero_gradient_from_its_offset() -> None:
    offset = random(1, 42, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(deform_template(TEMPLATE, random(1, 3), offset).sum(), offset)
    assert torch.isfinite(gradient).all()
    assert torch.equal(gradient[0] == 0, TEMPLATE == 0)


def test_a_learned_template_with_zero_coordinates_gets_a_finite_gradient() -> None:
    template = TEMPLATE.clone().requires_grad_()
    vertices = deform_template(template, random(1, 3), random(1, 42, 3, seed=1))
    (gradient,) = torch.autograd.grad(vertices.sum(), template)
    assert torch.isfinite(gradient).all()
    assert gradient.any()


def test_deformation_passes_gradcheck() -> None:
    inputs = (random(2, 3).requires_grad_(), random(2, 12, 3, seed=1).requires_grad_())
    template = icosphere(0).vertices.double() * 0.5
    assert torch.autograd.gradcheck(lambda c, b: deform_template(template, c, b), inputs)


def small(**change: Any) -> MeshDecoder:
    return MeshDecoder(**{"latent": 7, "hidden": (8, 9), "subdivisions": 1, **change})


def test_decoder_shapes_topology_and_buffers() -> None:
    decoder = small()
    vertices = decoder(torch.randn(3, 7))
    assert vertices.shape == (3, 42, 3)
    assert decoder.num_vertices == 42
    assert torch.equal(decoder.faces, icosphere(1).faces)
    assert {"faces", "template"} <= set(decoder.state_dict())
    torch.testing.assert_close(decoder.template_vertices, 0.25 * icosphere(1).vertices)
    assert MeshDecoder().num_vertices == 642


def test_the_heads_are_scaled() -> None:
    torch.manual_seed(0)
    decoder = small()
    latent = torch.randn(2, 7)
    features = decoder.trunk(latent)
    expected = deform_template(
        decoder.template,
        decoder.centroid(features) * 0.1,
        decoder.offset(features).reshape(-1, 42, 3),
    )
    torch.testing.assert_close(decoder(latent), expected)
    decoder.centroid_scale = decoder.offset_scale = 0.0
    torch.testing.assert_close(decoder(latent)[0], 0.5 * decoder.template)


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    decoder = small()
    decoder(torch.randn(4, 7)).square().sum().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_vertices_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert small()(torch.randn(2, 7)).dtype == torch.float32


@pytest.mark.parametrize(
    "change",
    [
        {"latent": 0},
        {"hidden": ()},
        {"template_scale": 1.0},
        {"template_scale": 0.0},
        {"subdivisions": -1},
    ],
)
def test_bad_arguments_are_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        small(**change)


@pytest.mark.parametrize("shape", [(7,), (2, 8), (2, 7, 1)])
def test_bad_latents_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"latent must be \[B, 7\], got"):
        small()(torch.zeros(shape))


def test_mirrored_meshes_are_their_own_mirror_image() -> None:
    torch.manual_seed(0)
    decoder, latent = small(mirrored=True), torch.randn(3, 7)
    vertices = decoder(latent)
    assert decoder.pairs is not None
    mirrored = mirror_vertices(vertices)[:, decoder.pairs]
    torch.testing.assert_close(mirrored, vertices, atol=1e-6, rtol=0)
    free = small()
    assert free.pairs is None
    free.load_state_dict({k: v for k, v in decoder.state_dict().items() if k != "pairs"})
    assert (free(latent) - vertices).abs().max() > 1e-3
