from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from recon.datasets.storage.layout import Layout
from recon.formats.meshes.reading.textured_mesh import TexturedMesh, concatenate
from recon.geometry.cameras import shapenet_cameras
from recon.geometry.frames import world_vertices
from recon.geometry.voxels import unpack_voxels
from recon.preparation.rendering.framing import fit_scale, touches_border
from recon.preparation.rendering.objects import ObjectRenderer, RenderedSource
from recon.preparation.rendering.viewpoints import RandomViews, StandardViews
from recon.preparation.sources.interface import ImageSource, MeshSource
from recon.preparation.sources.shapes import ShapesSource
from recon.rendering.lighting import Lighting
from tests.recon.preparation.known_surfaces import (
    images,
    joined,
    mesh,
    random_texture,
    same,
    textured_quad,
)

SIZE = 32


@pytest.mark.parametrize("view", [0, 5, 13])
def test_coverage_of_a_box_is_that_of_its_outline(view: int) -> None:
    box = mesh((0.61, 0.47, 0.83))
    alpha = images(ObjectRenderer(SIZE, supersample=4), box)[view, 3] / 255
    world = world_vertices(torch.from_numpy(box.vertices))
    corners = shapenet_cameras([view]).project(world[None], SIZE)[0, :, :2]
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
    image = images(ObjectRenderer(64), joined(body, front, right))[0].astype(int)
    seen = image[3] > 127
    green, red = (image[1] > 200) & seen, (image[0] > 200) & seen
    rows, columns = np.nonzero(red)
    assert len(rows) > 20
    assert columns.min() > 32  # right half
    assert np.nonzero(green)[0].mean() > np.nonzero(seen & ~red)[0].min()  # in front: lower down
    assert green.sum() > 4


def test_light_and_background_and_straight_alpha() -> None:
    lighting = Lighting(ambient=0.5, directional=0.5, direction=(0.0, 1.0, 0.0), two_sided=True)
    box = mesh((0.6,) * 3, color=(0.8, 0.4, 0.2))
    rgba = images(ObjectRenderer(SIZE, lighting=lighting), box)
    alpha, rgb = rgba[:, 3], rgba[:, :3].transpose(0, 2, 3, 1)
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
    image = images(
        ObjectRenderer(SIZE),
        joined(
            mesh((0.05, 0.8, 0.8), (0.3, 0, 0), (0.0, 1.0, 0.0)),
            mesh((0.05, 0.8, 0.8), (-0.3, 0, 0), (1.0, 0.0, 0.0)),
        ),
    )
    middle = SIZE // 2
    assert image[0, :3, middle, middle].tolist() == [0, 255, 0]
    assert image[12, :3, middle, middle].tolist() == [255, 0, 0]


def test_voxels_are_in_world_axes() -> None:
    # At +X of the v1 frame and up: world (0, up, -).
    renderer = ObjectRenderer(8, voxel_resolutions=[16, 32])
    arrays = renderer(mesh((0.2, 0.2, 0.2), (0.4, 0.4, 0.0)), "a")
    voxels = unpack_voxels(arrays["voxels_16"], 16)
    x, y, z = voxels.nonzero().double().mean(dim=0).tolist()
    assert 6.5 < x < 8.5
    assert y > 12
    assert z < 3
    assert arrays["voxels_16"].shape == (512,)
    fine = unpack_voxels(arrays["voxels_32"], 32)
    assert fine.nonzero().double().mean(dim=0).tolist() == pytest.approx([15.5, 27.9, 3.1], abs=0.6)


def test_cameras_and_shapes() -> None:
    renderer = ObjectRenderer((8, 12), supersample=2, voxel_resolutions=[4])
    arrays = renderer(mesh((1, 1, 1)), "a")
    renderer.layout().check(arrays)
    assert renderer.layout() == Layout((8, 12), 24, (4,))
    assert np.array_equal(arrays["cameras"], shapenet_cameras(range(24)).rows().numpy())


def test_views_in_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    box = textured_quad(random_texture())
    renderer = ObjectRenderer(16, maps=["shading", "depth", "normals"], lighting=Lighting())
    whole = renderer(box, "a")
    for name, number in (("FACES_AT_ONCE", 5 * box.num_faces), ("SAMPLES_AT_ONCE", 1)):
        monkeypatch.setattr(f"recon.preparation.rendering.objects.{name}", number)
        assert same(renderer(box, "a"), whole)


def test_threads_do_not_matter() -> None:
    shape = ShapesSource(1, ["chair"])
    surface = concatenate([shape.load(shape.objects()[0]), textured_quad(random_texture())])
    renderer = ObjectRenderer(24, lighting=Lighting(), maps=["shading", "depth", "normals"])
    threads = torch.get_num_threads()
    samples = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        samples.append(renderer(surface, "a"))
    torch.set_num_threads(threads)
    assert same(samples[0], samples[1])
    assert same(samples[0], samples[2])


# ---- viewpoints ----------------------------------------------------------------------------------


def test_random_views_are_stored_and_seen() -> None:
    views = RandomViews(5, elevation=(-40, 70), distance=(1.6, 3), seed=4)
    renderer = ObjectRenderer((20, 30), viewpoints=views, maps=["depth"])
    surface = mesh((0.3, 0.3, 0.3))
    arrays, other = renderer(surface, "a"), renderer(surface, "b")
    renderer.layout().check(arrays)
    assert np.array_equal(arrays["cameras"], views.cameras("a", (20, 30)).rows().numpy())
    assert not np.array_equal(arrays["images"], other["images"])
    assert np.array_equal(arrays["voxels_32"], other["voxels_32"])
    distance = np.linalg.norm(views.cameras("a", (20, 30)).eye().numpy(), axis=1)
    depth = arrays["depth"][:, 10, 15]
    assert (depth > distance - 0.27).all()
    assert (depth < distance - 0.14).all()


def test_a_camera_matrix_moves_the_image() -> None:
    matrix = [[80.0, 0, 10], [0, 80.0, 25], [0, 0, 1]]
    renderer = ObjectRenderer((40, 30), viewpoints=StandardViews(matrix))
    alpha = images(renderer, mesh((0.2, 0.2, 0.2)))[:, 3].astype(float)
    rows, columns = np.mgrid[:40, :30]
    for weights in alpha:
        assert (rows * weights).sum() / weights.sum() == pytest.approx(25, abs=0.3)
        assert (columns * weights).sum() / weights.sum() == pytest.approx(10, abs=0.3)


def test_fit_shrinks_images_and_voxels_alike() -> None:
    box = mesh((1, 1, 1))
    loose, fitted = (ObjectRenderer(32, fit=fit)(box, "a") for fit in (False, True))
    assert touches_border(loose["images"])
    assert not touches_border(fitted["images"])
    assert fitted["images"][:, 3, 1:-1, 1:-1].any(axis=1).sum() > 20 * 24
    side = [np.unpackbits(s["voxels_32"]).sum() ** (1 / 3) for s in (loose, fitted)]
    assert side[0] == pytest.approx(32)
    assert 19 < side[1] < 30
    small = mesh((0.3, 0.3, 0.3))
    assert same(*(ObjectRenderer(16, fit=fit)(small, "a") for fit in (False, True)))


def test_an_object_around_the_eye_is_refused() -> None:
    views = RandomViews(3, distance=(0.6, 0.6))
    with pytest.raises(ValueError, match="reaches to the eye of view 0 or behind it"):
        ObjectRenderer(8, viewpoints=views)(mesh((1, 1, 1)), "a")
    ObjectRenderer(8, viewpoints=views, fit=True)(mesh((1, 1, 1)), "a")


def test_vertices_of_no_face_do_not_matter() -> None:
    box = mesh((0.5, 0.5, 0.5))
    far = TexturedMesh(
        np.concatenate([[[0.0, 0, 50], [50, 0, 0]], box.vertices]),
        box.faces + 2,
        box.face_rgba,
        box.face_objects,
    )
    assert same(ObjectRenderer(8, fit=True)(far, "a"), ObjectRenderer(8, fit=True)(box, "a"))


def test_nothing_to_see_is_an_error() -> None:
    empty = mesh((1, 1, 1)).select(np.zeros(12, bool))
    with pytest.raises(ValueError, match="no visible faces"):
        ObjectRenderer(8)(empty, "a")


# ---- settings ------------------------------------------------------------------------------------


def test_configuration_tells_settings_apart() -> None:
    settings = [{}, {"image_size": 32}, {"supersample": 2}, {"voxel_resolutions": [16]},
                {"voxel_resolutions": [32, 64]}, {"voxel_mode": "solid"}, {"maps": ["depth"]},
                {"fit": True}, {"viewpoints": RandomViews(24)}, {"lighting": Lighting()},
                {"lighting": Lighting(ambient=0.4)}]  # fmt: skip
    configs = [str(ObjectRenderer(**setting).config()) for setting in settings]
    assert len(set(configs)) == len(settings)
    assert str(ObjectRenderer().config()) == configs[0]
    assert json.loads(json.dumps(ObjectRenderer().config())) == ObjectRenderer().config()


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"supersample": 0}, "supersample"), ({"supersample": 17}, "supersample"),
     ({"voxel_resolutions": [0]}, "voxel_resolutions"), ({"image_size": 0}, "image_size"),
     ({"voxel_resolutions": [32, 32]}, "voxel_resolutions"),
     ({"voxel_resolutions": [5000]}, "voxel_resolutions"), ({"voxel_mode": "dense"}, "voxel_mode"),
     ({"maps": ["depths"]}, "maps must be among")],
)  # fmt: skip
def test_bad_settings(setting, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ObjectRenderer(**setting)


def test_a_rendered_source_is_a_source_of_images() -> None:
    meshes, renderer = ShapesSource(2, ["lamp"]), ObjectRenderer(8, supersample=1)
    source = pickle.loads(pickle.dumps(RenderedSource(meshes, renderer)))
    assert isinstance(source, ImageSource)
    assert not isinstance(source, MeshSource)
    assert source.name == "shapes"
    assert source.config() == {"source": meshes.config(), "rendering": renderer.config()}
    entry = source.objects()[1]
    arrays = source.arrays(entry)
    source.layout().check(arrays)
    assert same(arrays, renderer(meshes.load(entry), entry.id))
    prints = {
        RenderedSource(meshes, ObjectRenderer(size)).objects()[1].fingerprint for size in (8, 9)
    }
    assert len(prints | {meshes.objects()[1].fingerprint}) == 3


def test_points_are_those_of_the_object_that_is_shown() -> None:
    box = mesh((1.0, 0.5, 0.4))
    close = RandomViews(count=2, distance=(1.6, 1.6))
    fitted = ObjectRenderer(
        SIZE, viewpoints=close, fit=True, num_points=2000, num_surface_points=500
    )
    arrays = fitted(box, "a")
    fitted.layout().check(arrays)
    corners = world_vertices(torch.from_numpy(box.vertices))
    half = corners.abs().amax(0) * fit_scale(corners, close.cameras("a", (SIZE, SIZE)), (SIZE,) * 2)
    relative = np.abs(arrays["pointcloud"]) / half.numpy()
    assert half.max() < 0.45
    np.testing.assert_allclose(relative.max(axis=1), 1, atol=1e-5)
    occupied = np.unpackbits(arrays["occupancies"], count=2000) > 0
    inside = (np.abs(arrays["points"].astype(float)) < half.numpy()).all(axis=1)
    assert 20 < inside.sum() == (occupied & inside).sum() == occupied.sum()


def test_points_leave_the_configuration_of_older_files_alone() -> None:
    plain = ObjectRenderer(SIZE).config()
    assert not {"num_points", "num_surface_points"} & set(plain)
    more = ObjectRenderer(SIZE, num_points=3, num_surface_points=4).config()
    assert more == {**plain, "num_points": 3, "num_surface_points": 4}


def test_points_of_a_source_are_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ShapesSource(1, ["chair"])
    monkeypatch.setattr(ShapesSource, "truth_sizes", lambda self: (7, 0), raising=False)
    monkeypatch.setattr(ShapesSource, "truth", lambda self, entry: {}, raising=False)
    assert RenderedSource(source, ObjectRenderer(SIZE)).layout().num_points == 7
    with pytest.raises(ValueError, match=r"points of shapes are in its files.* got 0 and 5"):
        RenderedSource(source, ObjectRenderer(SIZE, num_surface_points=5))
