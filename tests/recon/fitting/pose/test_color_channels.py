"""Channels of images and of renderings agree; hidden faces have a gradient where they should."""

from __future__ import annotations

import pytest
import torch

from recon.fitting.pose.color_channels import ColorChannels, centroids
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.rendering.renderer import SoftRenderer

# A large red square, a blue one behind it that it hides, and a green one beside.
SQUARE = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
QUAD = torch.tensor([[0, 1, 2], [0, 2, 3]])
COLORS = torch.tensor([[1.0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]])


def scene() -> Mesh:
    front = 0.5 * SQUARE
    hidden = 0.2 * SQUARE + torch.tensor([0.1, 0.1, 0.3])
    beside = 0.1 * SQUARE + torch.tensor([0.7, -0.5, 0.0])
    faces = torch.cat((QUAD, QUAD + 4, QUAD + 8))
    return Mesh(torch.cat((front, hidden, beside)), faces, COLORS.repeat_interleave(2, 0))


def camera() -> Cameras:
    one = torch.ones(1)
    return Cameras.orbit(0 * one, 0 * one, 3 * one, 40 * one)


def channel(channels: ColorChannels, color: int) -> int:
    return int((channels.palette - COLORS[color]).abs().sum(1).argmin())


def test_sharp_renderings_have_the_channels_of_their_images() -> None:
    mesh, cameras = scene(), camera()
    assert mesh.face_colors is not None
    channels = ColorChannels(mesh)
    assert channels.count == 3
    hard = SoftRenderer(48, distance="hard", alpha="hard", color="hard")
    image = hard(mesh.vertices[None], mesh.faces, mesh.face_colors[None], cameras)
    target = channels.of_images(image)
    maps = channels.render(mesh.vertices[None], cameras, 48, sigma=1e-8, gamma=1e-3)
    torch.testing.assert_close(target.sum(1), image[:, 3])
    assert float((maps - target).abs().mean()) < 2e-3
    # Where depth is soft, half of what is behind shows through.
    through = channels.render(mesh.vertices[None], cameras, 48, sigma=1e-8, gamma=100.0)
    behind = hard.silhouette(mesh.vertices[None], mesh.faces[2:4], cameras)
    share = through[0, channel(channels, 1)].sum() / behind.sum()
    torch.testing.assert_close(float(share), 0.5, rtol=0, atol=0.02)


def test_a_hidden_face_has_a_gradient_only_where_depth_is_soft() -> None:
    mesh, cameras = scene(), camera()
    for blend, gamma, moved in (("softmax", 1.0, True), ("hard", 1.0, False)):
        channels = ColorChannels(mesh, blend=blend)
        vertices = mesh.vertices[None].clone().requires_grad_()
        maps = channels.render(vertices, cameras, 48, sigma=1e-5, gamma=gamma)
        loss = (maps[0, channel(channels, 1)] - 0.5).square().sum()
        (gradient,) = torch.autograd.grad(loss, vertices)
        hidden, beside = gradient[0, 4:8].abs().sum(), gradient[0, 8:].abs().sum()
        assert bool(torch.isfinite(gradient).all())
        if moved:
            assert float(hidden) > 1e-2
        else:
            assert float(hidden) == 0
        assert float(beside) < 1e-6  # it has nothing of that colour


def test_a_mesh_without_colours_has_one_channel() -> None:
    mesh = Mesh(scene().vertices, scene().faces)
    channels = ColorChannels(mesh)
    assert channels.count == 1
    maps = channels.render(mesh.vertices[None].expand(2, -1, -1), camera()[[0, 0]], 16, 1e-4, 1.0)
    assert maps.shape == (2, 1, 16, 16)


def test_what_is_behind_the_eye_is_empty_and_finite() -> None:
    behind = scene().vertices[None] - torch.tensor([0.0, 0, 10])
    maps = ColorChannels(scene()).render(behind, camera(), 16, sigma=1e-4, gamma=0.1)
    assert float(maps.abs().max()) == 0


def test_centroids_are_where_the_mass_is() -> None:
    maps = torch.zeros(1, 2, 20, 40)
    maps[0, 0, 0, :] = 1.0  # the top row
    positions, areas = centroids(maps)
    torch.testing.assert_close(positions[0, 0], torch.tensor([0.0, 0.95]))
    torch.testing.assert_close(areas[0], torch.tensor([0.4, 0.0]))
    assert positions[0, 1].tolist() == [0, 0]  # nothing is nowhere, and finite
    maps[0, 1, 10, 39] = 0.5
    torch.testing.assert_close(centroids(maps)[0][0, 1], torch.tensor([1.95, -0.05]))


def test_other_blends_are_refused() -> None:
    with pytest.raises(ValueError, match="color"):
        ColorChannels(scene(), blend="other").render(
            scene().vertices[None], camera(), 8, sigma=1e-4, gamma=1.0
        )
