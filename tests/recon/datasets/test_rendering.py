from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from recon.cameras import shapenet_cameras
from recon.datasets.rendering import NOTHING, ObjectRenderer, average_down, world_vertices
from recon.datasets.solids import block
from recon.lighting import Lighting
from recon.meshes import Mesh
from recon.voxels import unpack_voxels

SIZE = 32


def mesh(size: tuple[float, float, float], center=(0.0, 0.0, 0.0), color=(1.0, 0.0, 0.0)) -> Mesh:
    solid = block(center, size)
    return Mesh(
        torch.from_numpy(solid.vertices).float(),
        torch.from_numpy(np.ascontiguousarray(solid.faces)),
        torch.tensor([color]).expand(len(solid.faces), 3).contiguous(),
    )


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0] + [m.num_vertices for m in meshes])
    return Mesh(
        torch.cat([m.vertices for m in meshes]),
        torch.cat([m.faces + int(s) for m, s in zip(meshes, starts, strict=False)]),
        torch.cat([m.face_colors for m in meshes if m.face_colors is not None]),
    )


def test_world_frame_is_the_one_of_the_renderings() -> None:
    assert world_vertices(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[-3.0, 2.0, -1.0]]


@pytest.mark.parametrize("view", [0, 5, 13])
def test_coverage_of_a_box_is_that_of_its_outline(view: int) -> None:
    box = mesh((0.61, 0.47, 0.83))
    alpha = ObjectRenderer(SIZE, supersample=4)(box).images[view, 3] / 255
    corners = shapenet_cameras([view]).project(world_vertices(box.vertices)[None], SIZE)[0, :, :2]
    hull = ConvexHull(corners.double().numpy())
    places = (2 * np.arange(4 * SIZE) + 1 - 4 * SIZE) / (4 * SIZE)
    x, y = np.meshgrid(places, -places)
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    inside = (hull.equations @ points <= 0).all(axis=0).reshape(SIZE, 4, SIZE, 4)
    expected = inside.mean(axis=(1, 3))
    difference = np.abs(alpha - expected)
    assert difference.max() <= 1 / 16 + 1 / 255  # one sample on the outline may fall either way
    assert (difference > 1 / 255).mean() < 0.01
    assert 0.1 < expected.mean() < 0.5


def test_front_is_seen_in_view_0_and_nothing_is_mirrored() -> None:
    # From before the object, looking along -X with Y up, the right hand is at -Z.
    body = mesh((0.2, 0.2, 1.0), (-0.3, -0.3, 0.0), (0.5, 0.5, 0.5))
    front = mesh((0.1, 0.1, 0.1), (0.4, -0.3, 0.0), (0.0, 1.0, 0.0))
    right = mesh((0.2, 0.6, 0.1), (-0.3, 0.1, -0.45), (1.0, 0.0, 0.0))
    image = ObjectRenderer(64)(joined(body, front, right)).images[0].astype(int)
    seen = image[3] > 127
    green, red = (image[1] > 200) & seen, (image[0] > 200) & seen
    rows, columns = np.nonzero(red)
    assert len(rows) > 20
    assert columns.min() > 32  # right half
    assert np.nonzero(green)[0].mean() > np.nonzero(seen & ~red)[0].min()  # in front: lower down
    assert green.sum() > 4


def test_light_and_background_and_straight_alpha() -> None:
    lighting = Lighting(ambient=0.5, directional=0.5, direction=(0.0, 1.0, 0.0), two_sided=True)
    images = ObjectRenderer(SIZE, lighting=lighting)(mesh((0.6,) * 3, color=(0.8, 0.4, 0.2))).images
    alpha, rgb = images[:, 3], images[:, :3].transpose(0, 2, 3, 1)
    assert (rgb[alpha == 0] == 0).all()
    top, side = np.array([204, 102, 51]), np.array([102, 51, 26])
    colors = rgb[alpha == 255].astype(int)
    distance = np.minimum(abs(colors - top).max(axis=1), abs(colors - side).max(axis=1))
    assert (distance <= 1).mean() > 0.8
    # Not premultiplied: on the outline too, every colour lies between the two shades.
    outline = rgb[(alpha > 0) & (alpha < 255)].astype(int)
    assert (outline >= side - 1).all()
    assert (outline <= top + 1).all()


def test_nearer_faces_hide_farther_ones() -> None:
    image = ObjectRenderer(SIZE)(
        joined(
            mesh((0.05, 0.8, 0.8), (0.3, 0, 0), (0.0, 1.0, 0.0)),
            mesh((0.05, 0.8, 0.8), (-0.3, 0, 0), (1.0, 0.0, 0.0)),
        )
    ).images
    middle = SIZE // 2
    assert image[0, :3, middle, middle].tolist() == [0, 255, 0]
    assert image[12, :3, middle, middle].tolist() == [255, 0, 0]


def test_voxels_are_in_world_axes() -> None:
    # At +X of the v1 frame and up: world (0, up, -).
    sample = ObjectRenderer(8, voxel_resolution=16)(mesh((0.2, 0.2, 0.2), (0.4, 0.4, 0.0)))
    voxels = unpack_voxels(sample.voxels, 16)
    x, y, z = voxels.nonzero().double().mean(dim=0).tolist()
    assert 6.5 < x < 8.5
    assert y > 12
    assert z < 3
    assert sample.voxels.shape == (512,)


def test_cameras_and_shapes() -> None:
    sample = ObjectRenderer((8, 12), supersample=2, voxel_resolution=4)(mesh((1, 1, 1)))
    assert sample.images.shape == (24, 4, 8, 12)
    assert sample.cameras[3].tolist() == pytest.approx([-45, 30, 2.732, 30])
    assert sample.cameras.dtype == np.float32


def test_views_in_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    box = mesh((0.5, 0.9, 0.3))
    whole = ObjectRenderer(16)(box).images
    monkeypatch.setattr("recon.datasets.rendering.FACES_AT_ONCE", 5 * box.num_faces)
    assert np.array_equal(ObjectRenderer(16)(box).images, whole)


def test_average_is_over_covered_samples_only() -> None:
    samples = torch.full((1, 3, 2, 4), NOTHING)
    samples[0, :, 0, 0] = torch.tensor([0.2, 0.4, 0.6])
    samples[0, :, 1, 1] = torch.tensor([0.4, 0.4, 0.0])
    image = average_down(samples, 2)[0, :, 0]
    assert image[:, 0].tolist() == [76, 102, 76, 128]
    assert image[:, 1].tolist() == [0, 0, 0, 0]


def test_recipe_tells_settings_apart() -> None:
    settings = [{}, {"image_size": 32}, {"supersample": 2}, {"voxel_resolution": 16},
                {"voxel_mode": "solid"}, {"lighting": Lighting()},
                {"lighting": Lighting(ambient=0.4)}]  # fmt: skip
    recipes = [str(ObjectRenderer(**setting).recipe()) for setting in settings]
    assert len(set(recipes)) == len(settings)
    assert str(ObjectRenderer().recipe()) == recipes[0]


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"supersample": 0}, "supersample"), ({"voxel_resolution": 0}, "voxel_resolution"),
     ({"image_size": 0}, "image_size")],
)  # fmt: skip
def test_bad_settings(setting, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ObjectRenderer(**setting)
