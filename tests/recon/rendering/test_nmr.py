from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recon.geometry.cameras import shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.rendering import nmr
from recon.rendering.nmr import NeuralMeshRenderer
from renderer_cuda import gather_faces, visible_faces

SPHERE = icosphere(1)
FACES = SPHERE.faces


class IdentityCameras:
    """Stands in for cameras: vertices already are in NDC with view depths."""

    def project(self, vertices: Tensor, image_size: object) -> Tensor:
        return vertices


def scene(batch: int) -> Tensor:
    """A rough sphere in NDC; its back half is hidden by its front."""
    generator = torch.Generator().manual_seed(1)
    bumps = 0.03 * torch.randn(batch, *SPHERE.vertices.shape, generator=generator)
    vertices = SPHERE.vertices * 0.6 + bumps
    vertices[..., 2] += 3
    return vertices.double()


def slow_gradient(corners: Tensor, image: Tensor, grad: Tensor) -> Tensor:
    """The rule of section 3.2 with the sweep of the released code, one pixel after the other.

    Args:
        corners: [F, 3, 3] one image's faces in NDC.
        image: [C, H, W] its values.
        grad: [C, H, W] the gradient of the loss.
    """
    height, width = image.shape[1:]
    half = min(height, width) / 2
    seen = visible_faces(corners[None], (height, width))[0]
    result = torch.zeros_like(corners)
    for number, face in enumerate(corners):
        places = torch.stack(
            [face[:, 0] * half + (width - 1) / 2, (height - 1) / 2 - face[:, 1] * half], 1
        ).tolist()
        for axis in (0, 1):  # what moves: columns, then rows
            flipped = [(p[1 - axis], p[axis]) for p in places]  # (across, along)
            size = (height, width) if axis == 0 else (width, height)
            for edge in range(3):
                order = [(edge + k) % 3 for k in range(3)]
                first, second, third = (flipped[k] for k in order)
                if first[0] == second[0]:
                    continue
                slope = (second[1] - first[1]) / (second[0] - first[0])
                direction = 1 if first[1] + (third[0] - first[0]) * slope > third[1] else -1
                low = max(math.ceil(min(first[0], second[0])), 0)
                high = min(math.floor(max(first[0], second[0])), size[0] - 1)
                for line in range(low, high + 1):
                    crossing = first[1] + (line - first[0]) * slope
                    inner = math.floor(crossing) if direction > 0 else math.ceil(crossing)
                    if not 0 <= inner < size[1]:
                        continue
                    values, slopes, faces = (
                        (x[..., line, :] if axis == 0 else x[..., :, line])
                        for x in (image, grad, seen)
                    )
                    outer = inner + direction
                    share = (line - first[0]) / (second[0] - first[0])
                    for pixel in range(size[1]):
                        if (pixel - outer) * direction >= 0 and faces[inner] == number:
                            color = values[:, inner]
                        elif faces[pixel] == number and 0 <= outer < size[1]:
                            color = values[:, outer]
                        else:
                            continue
                        fall = ((values[:, pixel] - color) * slopes[:, pixel]).sum()
                        if fall <= 0:
                            continue
                        for corner, part in ((order[0], 1 - share), (order[1], share)):
                            if part == 0:
                                continue
                            distance = (pixel - crossing) / part / half
                            distance += 1e-3 if distance > 0 else -1e-3
                            sign = 1 if axis == 0 else -1  # rows grow downwards
                            result[number, corner, axis] -= sign * fall / distance
    return result


@pytest.mark.parametrize("size", [(10, 10), (9, 13)])
@pytest.mark.parametrize("colors", [False, True])
@pytest.mark.parametrize("pairs", [1 << 21, 64])
def test_the_gradient_follows_the_rule(
    size: tuple[int, int], colors: bool, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nmr, "_MAX_PAIRS", pairs)
    vertices = scene(2)
    generator = torch.Generator().manual_seed(2)
    renderer = NeuralMeshRenderer(size)
    corners = gather_faces(vertices, FACES)
    textures = torch.rand(2, len(FACES), 3, generator=generator, dtype=torch.float64)
    inputs = vertices.clone().requires_grad_()
    seen_by: shapenet_cameras = IdentityCameras()  # type: ignore[valid-type, assignment]
    if colors:
        image = renderer(inputs, FACES, textures, seen_by)
    else:
        image = renderer.silhouette(inputs, FACES, seen_by)[:, None]  # type: ignore[arg-type]
    slopes = torch.randn(image.shape, generator=generator, dtype=torch.float64)
    (grad,) = torch.autograd.grad((image * slopes).sum(), inputs)
    each = [slow_gradient(corners[b], image[b].detach(), slopes[b]) for b in range(2)]
    expected = torch.zeros_like(vertices)
    for b in range(2):
        expected[b].index_add_(0, FACES.flatten(), each[b].flatten(0, 1))
    assert expected.abs().max() > 1
    torch.testing.assert_close(grad, expected, atol=1e-9, rtol=1e-9)


def test_a_pixel_that_should_be_covered_pulls_and_one_that_should_not_pushes() -> None:
    # A triangle to the left of pixel (4, 6), in an image of 9 pixels; columns are at (2 i - 8) / 9.
    vertices = torch.tensor([[[-0.8, -0.7, 2.0], [-0.8, 0.7, 2.0], [0.1, 0.03, 2.0]]])
    faces = torch.tensor([[0, 1, 2]])
    renderer = NeuralMeshRenderer(9)
    for column, sign in ((6, -1), (3, 1)):
        inputs = vertices.clone().requires_grad_()
        alpha = renderer.silhouette(inputs, faces, IdentityCameras())  # type: ignore[arg-type]
        assert alpha[0, 4, column] == (column == 3)
        # The loss falls as the pixel becomes what it is not.
        loss = alpha[0, 4, column] * (1 if column == 3 else -1)
        (grad,) = torch.autograd.grad(loss, inputs)
        assert grad[0, 2, 0] * sign > 0
        assert not grad[..., 2].any()


def test_pixels_whose_change_would_harm_give_no_gradient() -> None:
    vertices = scene(1).requires_grad_()
    renderer = NeuralMeshRenderer(12)
    alpha = renderer.silhouette(vertices, FACES, IdentityCameras())  # type: ignore[arg-type]
    goal = alpha.detach()
    loss = (alpha * (1 - 2 * goal)).sum()  # least for the mask that there is
    (grad,) = torch.autograd.grad(loss, vertices)
    assert not grad.any()
