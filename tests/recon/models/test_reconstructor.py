from __future__ import annotations

import pytest
import torch

from recon.models import MeshDecoder, Reconstructor, SoftRasEncoder


def small(latent: int = 5) -> Reconstructor:
    encoder = SoftRasEncoder(channels=(4,), hidden=(6,), latent=5, image_size=8)
    return Reconstructor(encoder, MeshDecoder(latent=latent, hidden=(6,), subdivisions=1))


def test_images_become_meshes_inside_the_cube() -> None:
    torch.manual_seed(0)
    model = small()
    vertices = model(torch.rand(3, 4, 8, 8))
    assert vertices.shape == (3, 42, 3)
    assert (vertices.abs() < 0.5).all()
    assert model.faces.shape == (80, 3)
    torch.testing.assert_close(model.template_vertices.norm(dim=1), torch.full((42,), 0.25))


def test_it_learns_to_move_towards_a_target() -> None:
    torch.manual_seed(0)
    model = small()
    image = torch.rand(4, 4, 8, 8)
    target = model.template_vertices * torch.tensor([1.5, 0.5, 1.0]) + torch.tensor([0.05, 0, 0])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    errors = []
    for _ in range(40):
        optimizer.zero_grad()
        error = (model(image) - target).square().sum()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.1 * errors[0]


def test_weights_round_trip_and_another_template_is_refused() -> None:
    model, again = small(), small()
    again.load_state_dict(model.state_dict())
    image = torch.rand(1, 4, 8, 8)
    assert torch.equal(again.eval()(image), model.eval()(image))
    larger = Reconstructor(model.encoder, MeshDecoder(latent=5, hidden=(6,), subdivisions=2))
    with pytest.raises(RuntimeError, match="size mismatch"):
        larger.load_state_dict(model.state_dict())


def test_disagreeing_latents_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must equal encoder.latent \(5\), got 6"):
        small(latent=6)
