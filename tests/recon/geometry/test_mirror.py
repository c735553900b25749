"""What is mirrored at world x = 0 looks as the mirror image of what it was."""

from __future__ import annotations

import pytest
import torch

from recon.geometry.cameras import Cameras, shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.geometry.mirror import mirror_cameras, mirror_pairs, mirror_vertices
from recon.rendering.renderer import SoftRenderer


@pytest.mark.parametrize("subdivisions", [0, 1, 3])
def test_every_vertex_of_a_sphere_has_its_mirror_image(subdivisions: int) -> None:
    vertices = icosphere(subdivisions).vertices
    pairs = mirror_pairs(vertices)
    torch.testing.assert_close(vertices[pairs], mirror_vertices(vertices))
    assert torch.equal(pairs[pairs], torch.arange(len(vertices)))
    on_plane = pairs == torch.arange(len(vertices))
    assert torch.equal(on_plane, vertices[:, 0].abs() < 1e-6)
    assert 0 < int(on_plane.sum()) < len(vertices)


def test_a_mirrored_camera_sees_the_mirrored_world_as_a_mirrored_image() -> None:
    sphere = icosphere(2)
    generator = torch.Generator().manual_seed(0)
    vertices = 0.3 * sphere.vertices + 0.05 * torch.randn(162, 3, generator=generator)
    orbit = Cameras.orbit(
        torch.tensor([20.0, 250.0]), torch.tensor([-10.0, 60.0]), torch.tensor([2.7, 2.0]), 30.0
    )
    shifted = Cameras(orbit.rotation, orbit.translation, orbit.focal, orbit.center + 0.1)
    renderer = SoftRenderer(24, sigma=1e-4)
    both = vertices.expand(2, -1, -1)
    image = renderer.silhouette(both, sphere.faces, shifted)
    mirrored = renderer.silhouette(
        mirror_vertices(both), sphere.faces, Cameras.from_rows(mirror_cameras(shifted.rows()))
    )
    torch.testing.assert_close(mirrored, image.flip(-1), atol=1e-4, rtol=0)
    assert (mirrored - image).abs().max() > 0.5


def test_standard_views_are_mirror_images_of_each_other() -> None:
    rows = shapenet_cameras(list(range(24))).rows()
    opposite = rows[[(24 - view) % 24 for view in range(24)]]
    torch.testing.assert_close(mirror_cameras(rows), opposite, atol=1e-5, rtol=0)
    nested = rows.reshape(4, 6, 16)
    assert torch.equal(mirror_cameras(nested).reshape(24, 16), mirror_cameras(rows))


def test_what_is_no_mirror_image_or_no_camera_is_refused() -> None:
    with pytest.raises(ValueError, match=r"vertices must be their own mirror image .* off by 1"):
        mirror_pairs(torch.tensor([[0.5, 0.0, 0.0], [0.5, 1.0, 0.0]]))
    with pytest.raises(ValueError, match=r"vertices must be \[V, 3\], got \[3\]"):
        mirror_pairs(torch.zeros(3))
    with pytest.raises(ValueError, match=r"rows must be \[..., 16\], got \[2, 15\]"):
        mirror_cameras(torch.zeros(2, 15))
