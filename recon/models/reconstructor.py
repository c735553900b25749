"""Single-image reconstruction: an encoder, a decoder and optional heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from recon.arguments import Fraction
from recon.models.prediction import Prediction
from recon.rendering.compositing import checked_color, photographed


class Reconstructor(nn.Module):
    """Predicts a mesh from one image, with colours and camera directions if there are such heads.

    Args:
        encoder: The network that maps images [B, 4, H, W] to [B, latent]; has the attribute
            `latent`.
        decoder: The network that maps [B, latent] to vertices [B, V, 3]; has `latent`, `faces` [F,
            3] int64 and `template_vertices` [V, 3], the vertices of the undeformed mesh.
        color_head: The function that makes the colour head of a mesh from `num_vertices` and
            `num_faces`, those of the decoder. The head maps [B, latent] and the images to colours
            [B, V, 3] or texels [B, F, R * R, 3]; it has `latent`. None predicts no colours.
        background: The colour (3), sRGB in [0, 1], over which every image is laid before a part
            sees it, so that the model knows photographs and no masks; None leaves images as they
            are.
        camera_head: The network that maps [B, latent] and the images to logits [B, K] of the
            directions from which each image may have been taken; it has `latent` and `directions`
            [K, 3]. None predicts no directions.
        backbone: The network that maps images [B, 4, H, W] to [B, size], which the encoder takes
            beside the images; has the attribute `size`, which is the encoder's `features`. None
            gives the encoder images alone.

    Raises:
        ValueError: If the parts disagree about the length of the latent vector or of the features
            of the backbone, the colour head is a module already, or the background is no colour.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        color_head: Callable[..., nn.Module] | None = None,
        background: Sequence[Fraction] | None = None,
        camera_head: nn.Module | None = None,
        backbone: nn.Module | None = None,
    ) -> None:
        super().__init__()
        _require_latent("decoder", decoder, encoder)
        self.background = None if background is None else checked_color("background", background)
        self.encoder = encoder
        self.decoder = decoder
        self.color_head = None if color_head is None else self._head_of_mesh(color_head)
        if camera_head is not None:
            _require_latent("camera_head", camera_head, encoder)
        self.camera_head = camera_head
        if (size := getattr(backbone, "size", 0)) != getattr(encoder, "features", 0):
            raise ValueError(
                f"encoder.features must equal the size of the backbone, {size}, "
                f"got {getattr(encoder, 'features', 0)}"
            )
        self.backbone = backbone

    @property
    def faces(self) -> Tensor:
        """The faces [F, 3] int64 of every predicted mesh, on the device of the model."""
        return self.decoder.faces  # type: ignore[return-value]

    @property
    def template_vertices(self) -> Tensor:
        """The vertices [V, 3] of the undeformed mesh, object units."""
        return self.decoder.template_vertices  # type: ignore[return-value]

    def forward(self, image: Tensor) -> Prediction:
        """Predicts vertices and what the heads of the model add to them.

        Args:
            image: [B, 4, H, W] RGBA, floating point in [0, 1].

        Returns:
            Vertices [B, V, 3] in the world frame of the training cameras, within [-0.5, 0.5], and
            the colours of the colour head and the direction logits of the camera head, or None.
        """
        if self.background is not None:
            image = photographed(image, self.background)
        latent = (
            self.encoder(image)
            if self.backbone is None
            else self.encoder(image, self.backbone(image))
        )
        vertices = self.decoder(latent)
        colors = None if self.color_head is None else self.color_head(latent, image)
        if self.camera_head is None:
            return Prediction(vertices, colors)
        directions: Tensor = self.camera_head.directions  # type: ignore[assignment]
        return Prediction(vertices, colors, self.camera_head(latent, image), directions)

    def _head_of_mesh(self, make: Callable[..., nn.Module]) -> nn.Module:
        if isinstance(make, nn.Module):
            raise ValueError(
                "color_head must be what makes a head from num_vertices and num_faces; in a "
                f"configuration: _partial_: true. Got a {type(make).__name__}"
            )
        head = make(num_vertices=len(self.template_vertices), num_faces=len(self.faces))
        _require_latent("color_head", head, self.encoder)
        return head


def _require_latent(name: str, part: nn.Module, encoder: nn.Module) -> None:
    if part.latent != encoder.latent:
        raise ValueError(
            f"{name}.latent must equal encoder.latent ({encoder.latent}), got {part.latent}"
        )
