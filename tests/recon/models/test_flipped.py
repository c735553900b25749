"""The mean of predictions from an image and from its mirror image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from recon.geometry.meshes import icosphere
from recon.geometry.mirror import mirror_pairs, mirror_vertices
from recon.models import MeshDecoder, PaletteHead, Prediction, Reconstructor, SoftRasEncoder
from recon.models.flipped import FlipAveraged


def make_model() -> Reconstructor:
    torch.manual_seed(0)
    encoder = SoftRasEncoder(channels=(4, 8), hidden=(8,), latent=6, image_size=16)
    decoder = MeshDecoder(latent=6, hidden=(8,), subdivisions=1)
    model = Reconstructor(encoder, decoder, lambda **mesh: PaletteHead(**mesh, latent=6))
    return model.eval()


def test_a_flipped_image_gives_the_mirrored_mesh() -> None:
    model, images = make_model(), torch.rand(3, 4, 16, 16)
    flipped = FlipAveraged(model)
    pairs = mirror_pairs(model.template_vertices)
    with torch.no_grad():
        made, other, plain = flipped(images), flipped(images.flip(-1)), model(images)
    mirrored = mirror_vertices(other.vertices)[:, pairs]
    torch.testing.assert_close(made.vertices, mirrored, atol=1e-6, rtol=0)
    assert (plain.vertices - made.vertices).abs().max() > 1e-4
    assert torch.equal(made.colors, plain.colors)
    assert torch.equal(flipped.faces, model.faces)


def test_a_model_that_knows_the_mirror_plane_predicts_the_same() -> None:
    class Fixed(nn.Module):
        """Predicts a sphere whose centre lies on the side where the image is opaque."""

        template_vertices, faces = icosphere(1).vertices, icosphere(1).faces

        def forward(self, image: Tensor) -> Prediction:
            width = image.shape[-1] // 2
            side = image[:, 3, :, width:].mean((1, 2)) - image[:, 3, :, :width].mean((1, 2))
            shift = torch.stack((side, torch.zeros_like(side), torch.zeros_like(side)), dim=1)
            return Prediction(0.2 * self.template_vertices + shift[:, None])

    images = torch.rand(2, 4, 8, 8)
    expected = Fixed()(images)
    torch.testing.assert_close(FlipAveraged(Fixed())(images).vertices, expected.vertices)


def test_a_template_without_mirror_plane_is_refused() -> None:
    class Lopsided(nn.Module):
        template_vertices = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])

    with pytest.raises(ValueError, match="own mirror image"):
        FlipAveraged(Lopsided())
