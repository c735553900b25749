from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from recon.datasets.storage.layout import ObjectArrays
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.geometry.cameras import shapenet_cameras
from recon.geometry.meshes import Mesh, icosphere
from recon.geometry.voxels import unpack_voxels, voxelize_mesh
from recon.preparation.rendering.objects import MIN_TRIANGLES, ObjectRenderer
from recon.visualization.draw import draw_mesh
from tests.recon.preparation.known_surfaces import joined, mesh, random_texture, textured_quad


def rendered(surface: TexturedMesh, count: int = 256, size: int = 32) -> ObjectArrays:
    renderer = ObjectRenderer(size, supersample=2, triangles=count)
    arrays = renderer(surface, "a")
    renderer.layout().check(arrays)
    return arrays


def used(arrays: ObjectArrays) -> NDArray[np.bool_]:
    """Which triangles have an area."""
    a, b, c = arrays["triangles"].astype(float).transpose(1, 0, 2)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) > 0


def shown(arrays: ObjectArrays, view: int, size: int = 32) -> NDArray[np.float64]:
    """Draw the triangles, [H, W, 3] in 0 to 255 on white."""
    vertices = torch.from_numpy(arrays["triangles"][used(arrays)]).float().reshape(-1, 3)
    colors = torch.from_numpy(arrays["triangle_colors"][used(arrays)]).reshape(-1, 3) / 255
    solid = Mesh(vertices, torch.arange(len(vertices)).reshape(-1, 3))
    drawn = draw_mesh(solid, shapenet_cameras([view]), size, colors, samples=2)[0]
    return 255 * drawn.permute(1, 2, 0).double().numpy()


def imaged(arrays: ObjectArrays, view: int) -> NDArray[np.float64]:
    """The image of a view on white, [H, W, 3] in 0 to 255."""
    image = arrays["images"][view].astype(float)
    alpha = image[3:] / 255
    return (image[:3] * alpha + 255 * (1 - alpha)).transpose(1, 2, 0)


def sphere(subdivisions: int) -> TexturedMesh:
    solid = icosphere(subdivisions)
    count = solid.num_faces
    return TexturedMesh(
        solid.vertices.double().numpy() / 2,
        solid.faces.numpy(),
        np.full((count, 4), 0.4, np.float32),
        np.zeros(count, np.int64),
    )


def test_a_small_surface_is_kept_as_it_is_and_the_rest_is_zero() -> None:
    surface = joined(
        mesh((0.5, 0.25, 1.0), color=(1.0, 0.5, 0.0)),
        mesh((0.125,) * 3, (0.3, 0.4, 0.0), (0, 0, 1)),
    )
    arrays = rendered(surface)
    assert used(arrays).sum() == surface.num_faces == 24
    assert not arrays["triangles"][24:].any()
    assert not arrays["triangle_colors"][24:].any()
    x, y, z = surface.vertices[surface.faces].transpose(2, 0, 1)
    expected = np.stack([-z, y, -x], axis=-1)  # the world's axes
    assert np.abs(arrays["triangles"][:24].astype(float) - expected).max() < 2e-4
    assert (arrays["triangle_colors"][:12] == (255, 128, 0)).all()
    assert (arrays["triangle_colors"][12:24] == (0, 0, 255)).all()


def test_triangles_lie_where_images_and_voxels_do() -> None:
    surface = joined(
        mesh((0.8, 0.2, 0.4), (0.1, -0.3, 0.1)), mesh((0.2, 0.6, 0.2), (-0.2, 0.0, 0.3), (0, 1, 0))
    )
    arrays = rendered(surface)
    for view in (0, 7):
        difference = np.abs(shown(arrays, view) - imaged(arrays, view)).max(axis=2)
        assert (difference > 64).mean() < 0.01
        assert (imaged(arrays, view) < 250).any(axis=2).mean() > 0.05
    corners = torch.from_numpy(arrays["triangles"][used(arrays)]).float().reshape(1, -1, 3)
    faces = torch.arange(corners.shape[1]).reshape(-1, 3)
    own, truth = voxelize_mesh(corners, faces)[0], unpack_voxels(arrays["voxels_32"], 32)
    assert (own & truth).sum() / (own | truth).sum() > 0.98


def test_a_large_surface_is_simplified_to_what_fits() -> None:
    surface = sphere(4)
    arrays = rendered(surface, 1024)
    assert 512 < used(arrays).sum() <= 1024 < surface.num_faces
    corners = arrays["triangles"][used(arrays)].astype(float)
    radius = np.linalg.norm(corners, axis=-1)
    assert radius.min() > 0.47
    assert radius.max() <= 0.5 + 2e-4
    a, b, c = corners.transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    assert area == pytest.approx(np.pi, rel=0.03)  # no holes, nothing twice
    assert (arrays["triangle_colors"][used(arrays)] == 102).all()


def test_no_surface_is_too_fine_for_the_least_number() -> None:
    assert 0 < used(rendered(sphere(3), MIN_TRIANGLES)).sum() <= MIN_TRIANGLES
    with pytest.raises(ValueError, match=f"triangles must be 0 or >= {MIN_TRIANGLES}, got 9"):
        ObjectRenderer(triangles=9)


def test_textured_faces_are_split_until_their_texels_show() -> None:
    surface = textured_quad(random_texture(5, 7))  # halves of triangles do not end at texels
    arrays = rendered(surface, 2048, size=64)
    assert 2 < used(arrays).sum() <= 2048
    difference = np.abs(shown(arrays, 0, 64) - imaged(arrays, 0)).mean(axis=2)
    inside = (imaged(arrays, 0) < 255).any(axis=2)
    assert difference[inside].mean() < 12  # of 255; colours blend along the borders of texels
    coarse = {**arrays, **rendered(surface, MIN_TRIANGLES, size=64)}
    worse = np.abs(shown(coarse, 0, 64) - imaged(coarse, 0)).mean(axis=2)
    assert worse[inside].mean() > 2 * difference[inside].mean()


def test_plain_faces_and_palettes_are_not_split() -> None:
    texture = np.zeros((1, 2, 4), np.uint8)
    texture[0, 0], texture[0, 1] = (255, 0, 0, 255), (0, 0, 255, 255)
    quad = textured_quad(texture)
    palette = TexturedMesh(
        quad.vertices, quad.faces, quad.face_rgba, quad.face_objects,
        uvs=np.full((2, 3, 2), 0.75, np.float32), face_texture=quad.face_texture,
        textures=quad.textures,
    )  # fmt: skip
    arrays = rendered(palette)
    assert used(arrays).sum() == 2
    assert (arrays["triangle_colors"][:2] == (0, 0, 255)).all()


def test_holes_of_textures_are_left_out() -> None:
    texture = np.full((1, 2, 4), 255, np.uint8)
    texture[0, 0, 3] = 0  # the left half is a hole
    arrays = rendered(textured_quad(texture, side=1.0), 1024)
    left = arrays["triangles"][used(arrays)].astype(float).mean(axis=1)[:, 0]
    area = 0.5 * np.linalg.norm(
        np.cross(*(arrays["triangles"].astype(float)[:, [1, 2]] - arrays["triangles"][:, :1])
                 .transpose(1, 0, 2)), axis=1
    ).sum()  # fmt: skip
    assert left.min() > -0.1  # view 0 sees +x on the right
    assert area == pytest.approx(0.5, abs=0.1)


def test_without_triangles_the_configuration_is_that_of_older_files() -> None:
    assert "triangles" not in ObjectRenderer().config()
    assert ObjectRenderer(triangles=64).config()["triangles"] == 64
    assert "triangles" not in ObjectRenderer().layout().fields()
