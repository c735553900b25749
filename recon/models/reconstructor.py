"""Single-image reconstruction: an encoder followed by a decoder."""

from __future__ import annotations

from torch import Tensor, nn


class Reconstructor(nn.Module):
    """Predicts a mesh from one image; it does not render.

    Args:
        encoder: maps images [B, 4, H, W] to [B, latent]; has the attribute `latent`.
        decoder: maps [B, latent] to vertices [B, V, 3]; has `latent`, the buffer `faces` [F, 3] and
            the buffer `template` [V, 3].

    Raises:
        ValueError: the two disagree about the length of the latent vector.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        if encoder.latent != decoder.latent:
            raise ValueError(
                f"decoder.latent must equal encoder.latent ({encoder.latent}), got {decoder.latent}"
            )
        self.encoder = encoder
        self.decoder = decoder

    @property
    def faces(self) -> Tensor:
        """The faces [F, 3] int64 of every predicted mesh, on the device of the model."""
        return self.decoder.get_buffer("faces")

    @property
    def template_vertices(self) -> Tensor:
        """The vertices [V, 3] of the undeformed mesh: what zero centroid and bias decode to."""
        return 0.5 * self.decoder.get_buffer("template")

    def forward(self, image: Tensor) -> Tensor:
        """Predicts vertices.

        Args:
            image: [B, 4, H, W] RGBA, floating point in [0, 1].

        Returns:
            [B, V, 3] vertices in the world frame of the training cameras, within [-0.5, 0.5].
        """
        return self.decoder(self.encoder(image))
