"""Meshes seen through calibrated cameras."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recon.geometry.cameras import Cameras
from recon.geometry.meshes import icosphere
from renderer_cuda import project, soft_silhouette

SIZE = (40, 60)


def scene(dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """Two jittered spheres in front of two cameras."""
    generator = torch.Generator().manual_seed(0)
    sphere = icosphere(1)
    noise = torch.randn(2, *sphere.vertices.shape, generator=generator, dtype=torch.float64)
    vertices = 0.5 * sphere.vertices.double() + 0.02 * noise
    angles = torch.tensor([0.3, -0.4], dtype=torch.float64)
    zero, one = torch.zeros_like(angles), torch.ones_like(angles)
    rows = (angles.cos(), zero, angles.sin(), zero, one, zero, -angles.sin(), zero, angles.cos())
    rotation = torch.stack(rows, 1).unflatten(1, (3, 3))
    translation = torch.tensor([[0.05, -0.1, 2.5], [-0.1, 0.0, 3.0]], dtype=torch.float64)
    intrinsics = torch.tensor([[55.0, 0, 28], [0, 50, 21], [0, 0, 1]], dtype=torch.float64)
    return tuple(x.to(dtype) for x in (vertices, intrinsics, rotation, translation))


FACES = icosphere(1).faces


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_projection_of_the_cameras(dtype: torch.dtype) -> None:
    vertices, intrinsics, rotation, translation = scene(dtype)
    cameras = Cameras.from_opencv(intrinsics.expand(2, 3, 3), rotation, translation, SIZE)
    expected = cameras.project(vertices, SIZE)[:, FACES]
    found = project(vertices, FACES, intrinsics, rotation, translation, SIZE)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected)


def test_a_vertex_is_drawn_at_its_pixel() -> None:
    intrinsics = torch.tensor([[30.0, 2, 20], [0, 35, 12], [0, 0, 1]])
    # The middle of a small triangle lies at column 20 + 30 * 0.2 + 2 * 0.1 and row 12 + 35 * 0.1.
    middle = torch.tensor([0.4, 0.2, 2.0])
    corners = torch.tensor([[0.0, -0.02, 0], [0.02, 0.02, 0], [-0.02, 0.02, 0]]) + middle
    faces = torch.tensor([[0, 1, 2]])
    seen = project(corners[None], faces, intrinsics, torch.eye(3), torch.zeros(3), (30, 40))
    alpha = soft_silhouette(seen, (30, 40), sigma=1e-4)[0]
    row, column = divmod(int(alpha.argmax()), 40)
    assert (row, column) == (round(12 + 3.5), round(20 + 6 + 0.2))


def test_gradients_are_exact() -> None:
    vertices, intrinsics, rotation, translation = (x.requires_grad_() for x in scene())

    def call(vertices: Tensor, focal: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
        last = torch.tensor([[0.0, 0, 1]], dtype=torch.float64)
        return project(vertices, FACES, torch.cat((focal, last)), rotation, translation, SIZE)

    inputs = (vertices, intrinsics.detach()[:2].clone().requires_grad_(), rotation, translation)
    assert torch.autograd.gradcheck(call, inputs)


def test_a_corner_in_the_plane_of_the_eye_stays_finite() -> None:
    vertices = torch.tensor([[[0.0, 0, 0], [1, 0, 1], [0, 1, 1]]], requires_grad=True)
    faces = torch.tensor([[0, 1, 2]])
    seen = project(vertices, faces, torch.eye(3), torch.eye(3), torch.zeros(3), 8)
    assert seen.isfinite().all()
    assert seen[0, 0, 0, 2] == 0
    seen.sum().backward()
    assert vertices.grad is not None
    assert vertices.grad.isfinite().all()


def test_half_precision_becomes_float32() -> None:
    vertices, *camera = scene(torch.float32)
    seen = project(vertices.half(), FACES, *camera, SIZE)
    assert torch.equal(seen, project(vertices.half().float(), FACES, *camera, SIZE))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("vertices", torch.zeros(5, 3), r"vertices must have shape \[B, V, 3\], got \[5, 3\]"),
        ("vertices", torch.zeros(2, 42, 3).long(), "vertices must be float32 or float64"),
        ("faces", FACES.int(), "faces must be"),
        ("K", torch.eye(4), r"K must have shape \[2, 3, 3\] or \[3, 3\], got \[4, 4\]"),
        ("K", 3.0, r"K must have shape \[2, 3, 3\] or \[3, 3\], got float"),
        ("K", torch.ones(3, 3), r"the last row of K must be \(0, 0, 1\), got"),
        ("R", torch.zeros(3, 3, 3), r"R must have shape \[2, 3, 3\] or \[3, 3\], got \[3, 3, 3\]"),
        ("t", torch.zeros(2), r"t must have shape \[2, 3\] or \[3\], got \[2\]"),
        ("image_size", 0, "image_size"),
    ],
)
def test_bad_arguments(name: str, value: object, message: str) -> None:
    vertices, intrinsics, rotation, translation = scene(torch.float32)
    given = {"vertices": vertices, "faces": FACES, "K": intrinsics, "R": rotation}
    given |= {"t": translation, "image_size": SIZE} | {name: value}
    with pytest.raises(ValueError, match=message):
        project(**given)  # type: ignore[arg-type]
