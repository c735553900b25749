"""The oracle of the soft rasterizer: slow, obvious, pure torch, differentiated by autograd.

Every line follows one equation of Liu et al., "Soft Rasterizer" (arXiv 1904.01786), section 3, in
log space. The native kernels are tested against these functions; where no compiler is found they
serve in place of the kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from renderer_cuda.validation import (
    ImageSize,
    check_face_textures,
    check_face_vertices,
    check_modes,
    check_scalars,
    parse_background,
    parse_image_size,
)

# Pairs of a pixel and a face held at once. Each pair costs about 40 numbers, so 2^20 pairs of
# float32 are some 170 MB; larger scenes are cut into blocks of pixels recomputed in the backward.
MAX_PAIRS = 1 << 20


def pixel_centers(
    height: int, width: int, *, dtype: torch.dtype, device: torch.device | str | None = None
) -> Tensor:
    """Return the NDC position (x right, y up) of every pixel centre, row 0 on top, as [H*W, 2].

    Column i lies at (2i + 1 - W) / min(H, W); the shorter side of the image spans [-1, 1].
    """
    shorter = min(height, width)
    x = (2 * torch.arange(width, device=device) + 1 - width).to(dtype) / shorter
    y = (height - 1 - 2 * torch.arange(height, device=device)).to(dtype) / shorter
    return torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1).reshape(-1, 2)


def doubled_area(face_vertices: Tensor) -> Tensor:
    """Return twice the signed area [...] on the picture, positive for counter-clockwise corners."""
    first, second = (face_vertices[..., k, :2] - face_vertices[..., 0, :2] for k in (1, 2))
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def drawable_faces(face_vertices: Tensor) -> Tensor:
    """Return which faces [..., 3, 3] can be drawn at all, as a bool tensor [...].

    A face is left out when a coordinate is not finite, when a corner is not in front of the camera
    (depth <= 0), when its squares overflow, or when its area on the picture is zero to rounding:
    two epsilons of the product of its edges, below which even the sign of the area is noise.
    """
    corners = face_vertices.detach()
    edges = corners[..., [1, 2, 0], :2] - corners[..., :2]
    longest = edges.square().sum(-1).amax(-1)
    area = doubled_area(corners).abs()
    epsilon = torch.finfo(corners.dtype).eps
    finite = torch.isfinite(corners).flatten(-2).all(-1) & torch.isfinite(longest * longest)
    in_front = (corners[..., 2] > 0).all(-1)
    return finite & in_front & (area > 2 * epsilon * longest)


def _with_dummies(face_vertices: Tensor, drawable: Tensor) -> Tensor:
    """Replace the corners of faces that are not drawn, so that no NaN enters the arithmetic."""
    dummy = face_vertices.new_tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    return torch.where(drawable[..., None, None], face_vertices, dummy)


def _barycentric(pixels: Tensor, face_vertices: Tensor) -> Tensor:
    """Return the barycentric coordinates [P, F, 3] of pixels [P, 2] in faces [F, 3, 3]."""
    offset = face_vertices[None, :, :, :2] - pixels[:, None, None, :]  # corner minus pixel
    following, opposite = offset[:, :, [1, 2, 0]], offset[:, :, [2, 0, 1]]
    part = following[..., 0] * opposite[..., 1] - following[..., 1] * opposite[..., 0]
    return part / doubled_area(face_vertices)[None, :, None]


def _squared_distance(pixels: Tensor, face_vertices: Tensor) -> Tensor:
    """Return the squared distance [P, F] of pixels [P, 2] to the outlines of faces [F, 3, 3]."""
    start = face_vertices[None, :, :, :2]
    edge = face_vertices[None, :, [1, 2, 0], :2] - start
    offset = pixels[:, None, None, :] - start
    # An edge shorter than the square root of the smallest normal number has no direction; its
    # corner is the nearest point, which t = 0 is.
    length = edge.square().sum(-1).clamp_min(torch.finfo(edge.dtype).tiny)
    t = ((offset * edge).sum(-1) / length).clamp(0, 1)
    return (offset - t[..., None] * edge).square().sum(-1).amin(-1)


def _signed_exponent(
    pixels: Tensor, face_vertices: Tensor, barycentric: Tensor, sigma: float
) -> Tensor:
    """Return x = +-d^2 / sigma of equation 1, positive inside the face, as [P, F]."""
    inside = (barycentric > 0).all(-1)
    squared = _squared_distance(pixels, face_vertices)
    return torch.where(inside, squared, -squared) / sigma


def _depth_and_color(
    barycentric: Tensor, face_vertices: Tensor, face_textures: Tensor
) -> tuple[Tensor, Tensor]:
    """Return view depth [P, F] and colour [P, F, 3] at clipped barycentric coordinates."""
    clipped = barycentric.clamp(0, 1)
    clipped = clipped / clipped.sum(-1, keepdim=True)  # at least one clipped weight is >= 1/3
    depth = 1 / (clipped / face_vertices[None, :, :, 2]).sum(-1)
    return depth, torch.einsum("pfk,fkc->pfc", clipped, face_textures)


def _masked_log_sigmoid(x: Tensor, mask: Tensor) -> Tensor:
    """Return log(sigmoid(x)) where mask holds and minus infinity elsewhere, with safe gradients."""
    return torch.nn.functional.logsigmoid(x.where(mask, 0.0)).where(mask, -math.inf)


def _log_transmittance(x: Tensor, support: Tensor) -> Tensor:
    """Return log prod(1 - D) over faces, [P]: the logarithm of one minus alpha (equation 5)."""
    return -torch.nn.functional.softplus(x.where(support, 0.0)).where(support, 0.0).sum(-1)


def _softmax_color(
    x: Tensor,
    visible: Tensor,
    depth: Tensor,
    color: Tensor,
    background: Tensor,
    *,
    gamma: float,
    eps: float,
    near: float,
    far: float,
) -> Tensor:
    """Return the depth-weighted softmax of colours and background, [P, 3] (equations 3 and 4).

    The normalised depth (far - z) / (far - near) enters less one, for every face and for the
    background alike: the weights are the same and float32 keeps the digits which tell faces apart.
    """
    logits = _masked_log_sigmoid(x, visible)
    logits = logits - ((depth - near) / ((far - near) * gamma)).where(visible, 0.0)
    behind = logits.new_full((len(logits), 1), (eps - 1) / gamma)
    weights = torch.softmax(torch.cat([logits, behind], dim=-1), dim=-1)
    colors = torch.einsum("pf,pfc->pc", weights[:, :-1], color)
    return colors + weights[:, -1:] * background


def _hard_color(
    visible: Tensor, barycentric: Tensor, depth: Tensor, color: Tensor, background: Tensor
) -> Tensor:
    """Return the colour [P, 3] of the nearest face that contains the pixel centre."""
    contained = visible & (barycentric >= 0).all(-1) & (barycentric <= 1).all(-1)
    if contained.shape[-1] == 0:
        return background.expand(len(depth), 3)
    nearest = depth.detach().where(contained, math.inf).min(-1)
    chosen = color.gather(1, nearest.indices[:, None, None].expand(-1, 1, 3))[:, 0]
    return torch.where(torch.isfinite(nearest.values)[:, None], chosen, background)


def _support(x: Tensor, drawable: Tensor, dist_eps: float) -> Tensor:
    """Return the pairs [P, F] a face has a part in: coverage above dist_eps, or inside."""
    return (x > -math.log(1 / dist_eps - 1)) & drawable


def _blocks(pixels: Tensor, num_faces: int) -> Sequence[Tensor]:
    """Cut pixels [P, 2] into blocks of at most MAX_PAIRS pixel-face pairs."""
    return pixels.split(max(1, MAX_PAIRS // max(1, num_faces)))


def _apply_in_blocks(
    function: Callable[[Tensor], Tensor], pixels: Tensor, num_faces: int
) -> Tensor:
    """Concatenate function(block) over blocks of pixels, recomputing large ones in the backward."""
    blocks = _blocks(pixels, num_faces)
    if len(blocks) == 1:
        return function(blocks[0])
    return torch.cat([checkpoint(function, block, use_reentrant=False) for block in blocks])


def soft_silhouette_reference(
    face_vertices: Tensor,
    image_size: ImageSize,
    *,
    sigma: float = 1e-5,
    distance: str = "euclidean",
    alpha: str = "product",
    dist_eps: float = 1e-4,
) -> Tensor:
    """Compute what `soft_silhouette` computes, in plain torch; same arguments and errors."""
    check_face_vertices(face_vertices)
    check_modes(distance=distance, alpha=alpha)
    check_scalars(sigma=sigma, dist_eps=dist_eps)
    height, width = parse_image_size(image_size)
    pixels = pixel_centers(height, width, dtype=face_vertices.dtype, device=face_vertices.device)
    drawable = drawable_faces(face_vertices)
    vertices = _with_dummies(face_vertices, drawable)

    def one_image(index: int) -> Tensor:
        def block(part: Tensor) -> Tensor:
            faces = vertices[index]
            x = _signed_exponent(part, faces, _barycentric(part, faces), sigma)
            return -torch.expm1(_log_transmittance(x, _support(x, drawable[index], dist_eps)))

        return _apply_in_blocks(block, pixels, vertices.shape[1]).view(height, width)

    if len(vertices) == 0:
        return vertices.new_zeros((0, height, width))
    return torch.stack([one_image(index) for index in range(len(vertices))])


def soft_rasterize_reference(
    face_vertices: Tensor,
    face_textures: Tensor,
    image_size: ImageSize,
    *,
    sigma: float = 1e-5,
    gamma: float = 1e-4,
    distance: str = "euclidean",
    alpha: str = "product",
    color: str = "softmax",
    texture: str = "vertex",
    dist_eps: float = 1e-4,
    eps: float = 1e-3,
    near: float = 1.0,
    far: float = 100.0,
    background: Sequence[float] = (0.0, 0.0, 0.0),
    double_sided: bool = True,
    detach_barycentric: bool = False,
) -> Tensor:
    """Compute what `soft_rasterize` computes, in plain torch; same arguments and errors.

    Args:
        detach_barycentric: Hold the barycentric coordinates constant in the backward, as the
            released SoftRas kernels do; for comparisons with them only.
    """
    check_face_vertices(face_vertices)
    check_face_textures(face_textures, face_vertices)
    check_modes(distance=distance, alpha=alpha, color=color, texture=texture)
    check_scalars(sigma=sigma, dist_eps=dist_eps, gamma=gamma, eps=eps, near=near, far=far)
    height, width = parse_image_size(image_size)
    behind = face_vertices.new_tensor(parse_background(background))
    pixels = pixel_centers(height, width, dtype=face_vertices.dtype, device=face_vertices.device)
    drawable = drawable_faces(face_vertices)
    vertices = _with_dummies(face_vertices, drawable)
    facing = (doubled_area(vertices) < 0) | double_sided

    def one_image(index: int) -> Tensor:
        faces, textures = vertices[index], face_textures[index]

        def block(part: Tensor) -> Tensor:
            weights = _barycentric(part, faces)
            x = _signed_exponent(part, faces, weights, sigma)
            support = _support(x, drawable[index], dist_eps)
            opacity = -torch.expm1(_log_transmittance(x, support))
            if detach_barycentric:
                weights = weights.detach()
            depth, colors = _depth_and_color(weights, faces, textures)
            visible = support & facing[index] & (depth >= near) & (depth <= far)
            if color == "hard":
                rgb = _hard_color(visible, weights, depth, colors, behind)
            else:
                rgb = _softmax_color(
                    x, visible, depth, colors, behind, gamma=gamma, eps=eps, near=near, far=far
                )
            return torch.cat([rgb, opacity[:, None]], dim=-1)

        rgba = _apply_in_blocks(block, pixels, faces.shape[0])
        return rgba.view(height, width, 4).permute(2, 0, 1)

    if len(vertices) == 0:
        return vertices.new_zeros((0, 4, height, width))
    return torch.stack([one_image(index) for index in range(len(vertices))])
