"""Single-image reconstruction: an encoder followed by a decoder and maybe a colour head."""

from __future__ import annotations

from torch import Tensor, nn

from recon.models.prediction import Prediction


class Reconstructor(nn.Module):
    """Predicts a mesh from one image; it does not render.

    Args:
        encoder: maps images [B, 4, H, W] to [B, latent]; has the attribute `latent`.
        decoder: maps [B, latent] to vertices [B, V, 3]; has `latent`, the buffer `faces` [F, 3] and
            the buffer `template` [V, 3].
        color_head: maps [B, latent] and the images to colours [B, V, 3] or texels [B, F, R * R, 3];
            has `latent` and `surface`. None predicts no colours.

    Raises:
        ValueError: they disagree about the length of the latent vector or the size of the mesh.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, color_head: nn.Module | None = None
    ) -> None:
        super().__init__()
        if encoder.latent != decoder.latent:
            raise ValueError(
                f"decoder.latent must equal encoder.latent ({encoder.latent}), got {decoder.latent}"
            )
        self.encoder = encoder
        self.decoder = decoder
        if color_head is not None:
            _require_fitting(color_head, encoder, decoder)
        self.color_head = color_head

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

    def predict(self, image: Tensor) -> Prediction:
        """Predicts vertices and, with a colour head, colours.

        Args:
            image: [B, 4, H, W] RGBA, floating point in [0, 1].
        """
        latent = self.encoder(image)
        vertices = self.decoder(latent)
        if self.color_head is None:
            return Prediction(vertices)
        return Prediction(vertices, self.color_head(latent, image))


def _require_fitting(color_head: nn.Module, encoder: nn.Module, decoder: nn.Module) -> None:
    if color_head.latent != encoder.latent:
        raise ValueError(
            "color_head.latent must equal encoder.latent "
            f"({encoder.latent}), got {color_head.latent}"
        )
    surface = color_head.surface
    head = (surface.num_vertices, surface.num_faces)  # type: ignore[union-attr]
    mesh = (len(decoder.get_buffer("template")), len(decoder.get_buffer("faces")))
    if head != mesh:
        raise ValueError(f"color_head must color {mesh} vertices and faces, got {head}")
