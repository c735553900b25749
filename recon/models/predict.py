"""Predictions of a network that is not being trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from recon.models.prediction import Prediction


def predict(model: nn.Module, images: Tensor) -> Prediction:
    """Predicts meshes in evaluation mode and without gradients; batch norm is not updated.

    Args:
        model: The model that makes a `Prediction` of images [B, 4, H, W] in [0, 1].
        images: [n, 4, H, W] uint8 RGBA, on any device.

    Returns:
        The n predictions on the device of the model.
    """
    device = next(model.parameters()).device
    pixels = images.to(device).float() / 255
    with torch.inference_mode(), evaluating(model):
        return model(pixels)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Puts a model into evaluation mode for the block."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
