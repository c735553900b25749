"""Training losses on colour: pixels, shading, smoothness over the surface, and perception."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recon.compute import at_least_float32
from recon.geometry.meshes import edges, face_pairs_of_edges
from recon.geometry.texels import texel_faces
from recon.losses.smoothness import UniformLaplacian
from recon.rendering.compositing import over_black


def color_l1_loss(rgba: Tensor, images: Tensor) -> Tensor:
    """Returns the mean absolute difference of colours inside the true outlines.

    sum_p m_p mean_c |r_pc - i_pc| / sum_p m_p per image, then the mean over images, where r is the
    rendering, i the image over black and m its alpha. Outside, where faces that stick out should
    not be at all, the image is black and would only darken their colours; that is the
    silhouettes' business.

    Args:
        rgba: [B, 4, H, W] a rendering over a black background, as `SoftRenderer` makes it.
        images: [B, 4, H, W] the truth, sRGB in [0, 1] not multiplied by alpha, and alpha.

    Returns:
        A scalar >= 0; an image which shows nothing adds 0.

    Raises:
        ValueError: shapes differ or are not [B, 4, H, W] with B >= 1.

    Source: SoftRas (arXiv 1904.01786), equation 5, whose colour loss is an L1 norm over the image;
    the outline is our choice, which also lets small objects count like large ones.
    """
    rgba, images = _renderings(rgba, images)
    difference = (rgba[:, :3] - over_black(images)).abs().mean(dim=1)
    mask = images[:, 3]
    # 1e-6 of a pixel: of an empty outline the mean is 0.
    return ((difference * mask).sum(dim=(1, 2)) / (mask.sum(dim=(1, 2)) + 1e-6)).mean()


def shading_l1_loss(rgba: Tensor, shading: Tensor, masks: Tensor) -> Tensor:
    """Returns the mean absolute difference of brightness inside the true outlines.

    As `color_l1_loss` with grey images: the shape itself is what can explain them.

    Args:
        rgba: [B, 4, H, W] a white mesh rendered in the light of the images, over black.
        shading: [B, H, W] images of a white surface, not multiplied by the mask.
        masks: [B, H, W] in [0, 1].

    Returns:
        A scalar >= 0.

    Raises:
        ValueError: shapes differ.
    """
    if shading.dim() != 3 or shading.shape != masks.shape:
        raise ValueError(
            f"shading and masks must be [B, H, W], got {list(shading.shape)} {list(masks.shape)}"
        )
    grey = shading[:, None].expand(-1, 3, -1, -1)
    return color_l1_loss(rgba, torch.cat((grey, masks[:, None].to(grey.dtype)), dim=1))


def _renderings(rgba: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Checks both shapes and returns both in at least float32."""
    if rgba.dim() != 4 or rgba.shape[1] != 4 or rgba.shape != images.shape or not len(rgba):
        raise ValueError(
            f"rgba and images must have one shape [B, 4, H, W], got {list(rgba.shape)} "
            f"and {list(images.shape)}"
        )
    rgba = at_least_float32(rgba)
    return rgba, images.to(rgba.dtype)


class ColorSmoothnessLoss(nn.Module):
    """Penalises colours away from the mean of the colours next to them on the surface, squared.

    loss = mean over batch and samples s of  |c_s - mean_{t next to s} c_t|^2

    Texels are next to each other where they share an edge, in one face or in two; vertices where an
    edge joins them. A mean and not a sum, unlike the loss on vertices: its weight does not depend
    on the size of the mesh.

    Args:
        faces: [F, 3] int64.
        texels: R for R * R texels on each face, 0 for colours of vertices.

    Raises:
        ValueError: `faces` is not [F, 3] int64, or `texels` is negative.

    Source: SoftRas; its author (issue 44): a Laplacian over the colours of adjacent triangles.
    """

    def __init__(self, faces: Tensor, texels: int = 0) -> None:
        super().__init__()
        if texels < 0:
            raise ValueError(f"texels must be >= 0, got {texels}")
        if texels:
            finer = texel_faces(faces, texels)
            self.laplacian = UniformLaplacian(face_pairs_of_edges(finer)[0], len(finer))
        else:
            self.laplacian = UniformLaplacian(edges(faces), int(faces.max()) + 1)

    def forward(self, colors: Tensor) -> Tensor:
        """Computes the loss.

        Args:
            colors: [B, V, 3] of vertices, or [B, F, R * R, 3] texels.

        Returns:
            A scalar >= 0.

        Raises:
            ValueError: another shape.
        """
        samples = colors.flatten(1, 2) if colors.dim() == 4 else colors
        if samples.shape[1:] != (self.laplacian.count, 3):
            raise ValueError(
                f"colors must have {self.laplacian.count} samples of 3, got {list(colors.shape)}"
            )
        return self.laplacian(samples).square().sum(dim=2).mean()
