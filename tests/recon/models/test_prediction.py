"""Predictions as the result of a forward pass."""

from __future__ import annotations

import torch

from recon.models import MeshDecoder, Predicting, Prediction, Reconstructor, SoftRasEncoder


def test_a_forward_pass_predicts_and_shares_the_parameters() -> None:
    model = Reconstructor(
        SoftRasEncoder(channels=(4,), hidden=(4,), latent=3, image_size=8),
        MeshDecoder(latent=3, hidden=(4,), subdivisions=1),
    ).eval()
    images, network = torch.rand(2, 4, 8, 8), Predicting(model)
    prediction = network(images)
    assert isinstance(prediction, Prediction)
    assert torch.equal(prediction.vertices, model(images))
    assert prediction.colors is None
    assert {id(p) for p in network.parameters()} == {id(p) for p in model.parameters()}
