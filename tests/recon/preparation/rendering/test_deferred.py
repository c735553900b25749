from __future__ import annotations

import numpy as np
import pytest
import torch

from recon.formats.meshes.reading.textured_mesh import concatenate
from recon.geometry.cameras import shapenet_cameras
from recon.preparation.rendering.objects import ObjectRenderer
from recon.preparation.rendering.viewpoints import RandomViews
from recon.rendering.lighting import Lighting
from tests.recon.preparation.known_surfaces import (
    images,
    mesh,
    random_texture,
    textured_quad,
)


def upright(image_size: int = 64, **settings) -> ObjectRenderer:
    """Views at the height of the object, the first one from before it."""
    views = RandomViews(1, azimuth=(0, 0), elevation=(0, 0), distance=(2, 2))
    return ObjectRenderer(image_size, viewpoints=views, **settings)


@pytest.mark.parametrize("repeat", [1.0, 2.0])
def test_a_texture_lies_as_it_was_painted(repeat: float) -> None:
    texture = random_texture(2, 4)
    image = images(upright(), textured_quad(texture, repeat=repeat))[0]
    inside = image[3] == 255
    rows, columns = np.nonzero(inside)
    image = image[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    size = np.array(image.shape[1:])
    assert size.tolist() == [48, 48]  # 0.8 / (2 * 2 tan 15) of 64 pixels is 47.8
    tile = np.tile(texture, (int(repeat), int(repeat), 1))
    for row in range(tile.shape[0]):
        for column in range(tile.shape[1]):
            middle = ((np.array([row, column]) + 0.5) / tile.shape[:2] * size).astype(int)
            assert image[:3, middle[0], middle[1]].tolist() == tile[row, column, :3].tolist()


def test_textures_are_shaded_and_straight_in_perspective() -> None:
    # A floor seen from above: far rows of a checkerboard are narrower, as projection says.
    texture = np.zeros((8, 1, 4), np.uint8)
    texture[::2, :, :3] = 200
    texture[..., 3] = 255
    floor = textured_quad(texture, side=0.9)
    # Lay it down: what was up points away from the eye of view 0, to -X.
    floor = floor.transformed(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.zeros(3))
    lighting = Lighting(ambient=0.2, directional=0.4, direction=(0, 1, 0), two_sided=True)
    image = images(ObjectRenderer(128, lighting=lighting), floor)[0]
    line = image[0, :, 64][image[3, :, 64] == 255].astype(int)
    assert set(np.unique(line[(line == 0) | (line == 120)])) == {0, 120}  # 0.6 * 200
    edges = np.flatnonzero(np.diff((line > 60).astype(int)))
    lengths = np.diff(edges)
    assert len(edges) == 7
    assert lengths[-1] > lengths[0]
    # Rows of texels end where the projection of their edges is.
    z = np.linspace(0.45, -0.45, 9)[1:-1]  # world depth from far to near: z = -x
    world = torch.tensor(np.stack([0 * z, 0 * z, z], axis=1))
    y = shapenet_cameras([0]).project(world[None], 128)[0, :, 1].numpy()
    top = np.flatnonzero(image[3, :, 64] == 255)[0]
    assert top + edges + 1 == pytest.approx(64 - 64 * y, abs=0.6)


def test_through_a_hole_of_a_texture_one_sees_what_is_behind() -> None:
    texture = np.full((1, 2, 4), 255, np.uint8)
    texture[0, 0] = (255, 255, 255, 0)  # the left half is not there
    texture[0, 1, :3] = (0, 0, 255)
    front = textured_quad(texture).transformed(np.eye(3), np.array([0.3, 0, 0]))
    wall = mesh((0.05, 0.4, 0.4), (-0.3, 0, 0), (0.0, 1.0, 0.0))
    renderer = upright(maps=["depth"])
    arrays = renderer(concatenate([front, wall]), "a")
    image, depth = arrays["images"][0], arrays["depth"][0]
    assert image[:, 32, 28].tolist() == [0, 255, 0, 255]
    assert image[:, 32, 36].tolist() == [0, 0, 255, 255]
    assert image[3, 32, 10] == 0  # through the hole, beside the wall
    assert depth[32, [10, 28, 36]] == pytest.approx([0, 2.275, 1.7], abs=1e-3)
    alone = renderer(front, "a")
    assert alone["images"][0, 3, 32, [28, 36]].tolist() == [0, 255]


# ---- maps ----------------------------------------------------------------------------------------


def test_maps_of_a_box() -> None:
    lighting = Lighting(ambient=0.3, directional=0.6, direction=(0, 1, 0), two_sided=True)
    renderer = ObjectRenderer(33, lighting=lighting, maps=["normals", "shading", "depth"])
    box = mesh((0.5, 0.5, 0.5), color=(0.5, 1.0, 0.0))
    arrays = renderer(box, "a")
    renderer.layout().check(arrays)
    assert renderer.layout().maps == ("shading", "depth", "normals")
    seen = arrays["images"][:, 3] == 255
    shading, normals = arrays["shading"], arrays["normals"]
    assert (shading[arrays["images"][:, 3] == 0] == 0).all()
    # The image is colour times shading.
    green = arrays["images"][:, 1].astype(int)
    assert np.array_equal(green, shading)
    assert np.isin(shading[seen], [round(255 * 0.3), round(255 * 0.9)]).mean() > 0.8
    # In view 0 the front is below row 14, the top above it.
    assert normals[0, :, 18, 16].tolist() == [0, 0, -127]
    assert normals[0, :, 11, 16].tolist() == [0, 127, 0]
    assert (normals[:, :, 0, 0] == 0).all()
    # From above, the front's upper edge is nearest.
    eye = shapenet_cameras([0]).eye()[0].numpy()
    forward = -eye / np.linalg.norm(eye)
    nearest = np.array([0, 0.25, -0.25]) @ forward + 2.732
    depth = arrays["depth"][0]
    assert depth[depth > 0].min() == pytest.approx(nearest, abs=0.02)
    assert np.array_equal(depth > 0, (normals[0] != 0).any(axis=0))


def test_without_light_white_is_white() -> None:
    arrays = ObjectRenderer(16, maps=["shading"])(mesh((0.5, 0.5, 0.5)), "a")
    assert set(np.unique(arrays["shading"])) == {0, 255}


def test_too_much_light_is_clipped() -> None:
    lighting = Lighting(ambient=1.5, directional=0)
    for surface in (mesh((0.5,) * 3, color=(0.8, 0.5, 0.1)), textured_quad(random_texture())):
        bright, plain = (
            images(ObjectRenderer(16, supersample=1, lighting=light), surface)
            for light in (lighting, None)
        )
        expected = np.minimum(1.5 * plain[:, :3], 255)
        assert np.abs(bright[:, :3] - expected).max() <= 1
