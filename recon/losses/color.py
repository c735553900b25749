"""Training losses on colour: pixels, shading, smoothness over the surface, and perception."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recon.arguments import PositiveInt, Texels
from recon.compute import at_least_float32
from recon.geometry.meshes import edges, face_pairs_of_edges
from recon.geometry.texels import texel_faces
from recon.losses.reduction import reduce_images
from recon.losses.smoothness import NeighbourMeans


def color_l1_loss(rgba: Tensor, image: Tensor, reduction: str = "mean") -> Tensor:
    """Returns the mean absolute difference of colours inside the true masks.

    sum_p m_p mean_c |r_pc - i_pc| / sum_p m_p per image, where r is the rendering, i the image over
    black and m its alpha. Outside of the mask the image is black and would only darken the colours
    of faces which should not be there at all; the silhouette loss moves these.

    Args:
        rgba: [B, 4, H, W] renderings over a black background, as `SoftRenderer` makes them.
        image: [B, 4, H, W] true images, sRGB in [0, 1] not multiplied by alpha, and alpha.
        reduction: "mean" for the mean over the images, or "none".

    Returns:
        A scalar >= 0, or [B] for the reduction "none"; an image which shows nothing has 0.

    Raises:
        ValueError: The shapes differ or are not [B, 4, H, W] with B >= 1, or `reduction` is another
            word.

    Source: SoftRas (arXiv 1904.01786), equation 5, whose colour loss is an L1 norm over the image.
    That only the mask counts is our choice, which also lets small objects count like large ones.
    """
    rgba, image = as_renderings(rgba, image)
    colors, mask = image.split((3, 1), dim=1)
    difference = (rgba[:, :3] - colors * mask).abs()
    # 1e-6 of a pixel: the mean over an empty mask is 0.
    weights = mask / (3 * (mask.sum(dim=(2, 3), keepdim=True) + 1e-6))
    return reduce_images((difference * weights).sum(dim=(1, 2, 3)), reduction)


def overlap_color_l1_loss(
    rgba: Tensor, image: Tensor, power: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """Returns the mean absolute difference of colours where rendering and truth are both opaque.

    sum_p w_p mean_c |r_pc - i_pc| / max(sum_p w_p, 1) per image with w = (a * m)^power, a and m
    being both alphas. There is no gradient to a, so the loss says nothing about the silhouette:
    it compares an object in motion with its image, where `color_l1_loss` would darken or brighten
    colours at an edge that is not yet in its place.

    Args:
        rgba: [B, 4, H, W] renderings over a black background, as `SoftRenderer` makes them.
        image: [B, 4, H, W] true images, sRGB in [0, 1] not multiplied by alpha, and alpha.
        power: The exponent of the product of both alphas; above 1, partly opaque pixels count less.
        reduction: "mean" for the mean over the images, or "none".

    Returns:
        A scalar >= 0, or [B] for the reduction "none"; images that do not overlap have 0.

    Raises:
        ValueError: The shapes differ or are not [B, 4, H, W] with B >= 1, or `reduction` is another
            word.
    """
    rgba, image = as_renderings(rgba, image)
    weight = (rgba[:, 3].detach() * image[:, 3]).pow(power)
    difference = (rgba[:, :3] - image[:, :3]).abs().mean(dim=1)
    # At least one pixel: images that hardly overlap count little.
    losses = (weight * difference).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(min=1)
    return reduce_images(losses, reduction)


def photograph_l1_loss(rgba: Tensor, photograph: Tensor) -> Tensor:
    """Returns the mean absolute difference of the colours of whole images, without any mask.

    Args:
        rgba: [B, 4, H, W] renderings over the background of the photographs; alpha is not used.
        photograph: [B, 3, H, W] true images over that background, sRGB in [0, 1].

    Returns:
        A scalar >= 0.

    Raises:
        ValueError: The shapes differ or are not [B, 4, H, W] and [B, 3, H, W] with B >= 1.
    """
    if rgba.dim() != 4 or rgba.shape[1] != 4 or rgba[:, :3].shape != photograph.shape:
        raise ValueError(
            "rgba and photograph must have shapes [B, 4, H, W] and [B, 3, H, W], got "
            f"{list(rgba.shape)} and {list(photograph.shape)}"
        )
    rgba = at_least_float32(rgba)
    return (rgba[:, :3] - photograph.to(rgba.dtype)).abs().mean()


def shading_l1_loss(shading: Tensor, shading_map: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean absolute difference of brightness inside the true masks.

    It is `color_l1_loss` of grey images. A white mesh has no colours which could explain them, so
    its shape has to.

    Args:
        shading: [B, 4, H, W] renderings of a white mesh in the light of the images, over black.
        shading_map: [B, H, W] images of a white surface, not multiplied by the mask.
        mask: [B, H, W] true masks in [0, 1].

    Returns:
        A scalar >= 0.

    Raises:
        ValueError: The shapes differ.
    """
    if shading_map.dim() != 3 or shading_map.shape != mask.shape:
        raise ValueError(
            "shading_map and mask must have one shape [B, H, W], got "
            f"{list(shading_map.shape)} and {list(mask.shape)}"
        )
    grey = shading_map[:, None].expand(-1, 3, -1, -1)
    return color_l1_loss(shading, torch.cat((grey, mask[:, None].to(grey.dtype)), dim=1))


def as_renderings(rgba: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """Returns a rendering and its true image in at least float32.

    Raises:
        ValueError: The shapes differ or are not [B, 4, H, W] with B >= 1.
    """
    if rgba.dim() != 4 or rgba.shape[1] != 4 or rgba.shape != image.shape or not len(rgba):
        raise ValueError(
            f"rgba and image must have one shape [B, 4, H, W], got {list(rgba.shape)} "
            f"and {list(image.shape)}"
        )
    rgba = at_least_float32(rgba)
    return rgba, image.to(rgba.dtype)


class ColorSmoothnessLoss(nn.Module):
    """Penalises colours away from the mean of the colours next to them on the surface, squared.

    loss = mean over batch and samples s of  |c_s - mean_{t next to s} c_t|^2

    Texels are next to each other where they share an edge, in one face or in two; vertices where an
    edge joins them. A mean and not a sum, unlike the loss on vertices: its weight does not depend
    on the size of the mesh.

    Args:
        faces: [F, 3] int64 faces of the mesh.
        num_vertices: The number V of vertices.
        texels: The number R for R * R texels on each face; 0 for colours of vertices.

    Raises:
        ValueError: `faces` is not [F, 3] int64 with indices in [0, `num_vertices`), or `texels` is
            negative.

    Source: SoftRas; its author (issue 44): a Laplacian over the colours of adjacent triangles.
    """

    def __init__(self, faces: Tensor, num_vertices: PositiveInt, texels: Texels = 0) -> None:
        super().__init__()
        if texels < 0:
            raise ValueError(f"texels must be >= 0, got {texels}")
        if texels:
            finer = texel_faces(faces, texels)
            self.neighbour_means = NeighbourMeans(face_pairs_of_edges(finer)[0], len(finer))
        else:
            self.neighbour_means = NeighbourMeans(edges(faces), num_vertices)

    def forward(self, colors: Tensor) -> Tensor:
        """Computes the loss.

        Args:
            colors: [B, V, 3] colours of vertices, or [B, F, R * R, 3] texels.

        Returns:
            A scalar >= 0.

        Raises:
            ValueError: `colors` has another shape.
        """
        samples = colors.flatten(1, 2) if colors.dim() == 4 else colors
        count = self.neighbour_means.count
        if samples.shape[1:] != (count, 3):
            raise ValueError(f"colors must have {count} samples of 3, got {list(colors.shape)}")
        return self.neighbour_means.squared_differences(samples) / (len(samples) * count)
