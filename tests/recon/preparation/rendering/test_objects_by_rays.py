"""Images and maps against an independent ray caster, Embree, through every sample of a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import trimesh
from numpy.typing import NDArray
from scipy import ndimage

from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.geometry.cameras import Cameras
from recon.preparation.rendering.objects import ObjectRenderer
from recon.preparation.rendering.viewpoints import RandomViews, StandardViews
from recon.preparation.sources.shapes import make_shape
from recon.preparation.sources.solids import block
from recon.rendering.lighting import Lighting

embree = pytest.importorskip("trimesh.ray.ray_pyembree", reason="embreex is not installed")
pytest.importorskip("embreex")

SIZE, SUPERSAMPLE = (40, 48), 4
AMBIENT, DIRECTIONAL = 0.35, 0.6
TOWARDS_LIGHT = np.array([0.4, 1.0, -0.6]) / np.linalg.norm([0.4, 1.0, -0.6])
VIEWS = RandomViews(3, elevation=(-30, 60), distance=(1.7, 2.6), fov=35, seed=3)


def random_soup() -> TexturedMesh:
    """Triangles which hang in space: open, crossing each other, wound any way."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(-0.35, 0.35, (120, 1, 3))
    corners = (centers + rng.uniform(-0.15, 0.15, (120, 3, 3))).reshape(-1, 3)
    colors = np.concatenate([rng.random((120, 3)), np.ones((120, 1))], axis=1)
    return TexturedMesh(
        corners, np.arange(360).reshape(-1, 3), colors.astype(np.float32), np.zeros(120, np.int64)
    )


def textured_box() -> TexturedMesh:
    """A box with a coarse random image, repeated one and a half times, on every side."""
    rng = np.random.default_rng(1)
    solid = block((0.05, 0.0, -0.03), (0.5, 0.6, 0.4))
    texture = rng.integers(0, 256, (6, 5, 4), np.uint8)
    texture[..., 3] = 255
    count = len(solid.faces)
    # From the two coordinates in the plane of a face.
    corners = solid.vertices[solid.faces]
    thin = np.ptp(corners, axis=1).argmin(axis=1)
    planar = np.array([np.delete(c, axis, axis=1) for c, axis in zip(corners, thin, strict=True)])
    return TexturedMesh(
        solid.vertices,
        solid.faces,
        np.ones((count, 4), np.float32),
        np.zeros(count, np.int64),
        uvs=(planar * 2.5 + 0.3).astype(np.float32),
        face_texture=np.zeros(count, np.int64),
        textures=(texture,),
    )


@dataclass
class Cast:
    """What rays through the samples [H, W] of one view meet.

    Attributes:
        hit: [H, W] bool.
        color: [H, W, 3] shaded, in [0, 1].
        depth: [H, W] along the view axis.
        normal: [H, W, 3] world, towards the eye.
    """

    hit: NDArray[np.bool_]
    color: NDArray[np.float64]
    depth: NDArray[np.float64]
    normal: NDArray[np.float64]


def cast_rays(surface: TexturedMesh, cameras: Cameras, view: int, size: tuple[int, int]) -> Cast:
    """Cast a ray through the centre of every sample."""
    rotation, translation, focal, center = (
        value[view].double().numpy()
        for value in (cameras.rotation, cameras.translation, cameras.focal, cameras.center)
    )
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    # In half image heights, from the middle of the image.
    x = (2 * columns + 1 - width) / height
    y = (height - 1 - 2 * rows) / height
    inside = np.stack([(x - center[0]) / focal[0], (y - center[1]) / focal[1], np.ones(size)], -1)
    directions = inside.reshape(-1, 3) @ rotation
    eye = -translation @ rotation
    world = surface.vertices @ np.array([[0.0, 0, -1], [0, 1, 0], [-1, 0, 0]])
    mesh = trimesh.Trimesh(world, surface.faces, process=False)
    origins = np.broadcast_to(eye, directions.shape)
    face = embree.RayMeshIntersector(mesh).intersects_first(origins, directions)
    corners = world[surface.faces[face]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    normal *= -np.sign((normal * directions).sum(1, keepdims=True))
    # The directions have length 1 along the view axis, so the ray's parameter is the view depth.
    depth = (normal * (corners[:, 0] - eye)).sum(1) / (normal * directions).sum(1)
    light = AMBIENT + DIRECTIONAL * np.maximum(normal @ TOWARDS_LIGHT, 0)
    color = face_color(surface, face, corners, eye + depth[:, None] * directions)
    return Cast(
        (face >= 0).reshape(size),
        (color * light[:, None]).reshape(*size, 3),
        depth.reshape(size),
        normal.reshape(*size, 3),
    )


def face_color(surface: TexturedMesh, face: NDArray, corners: NDArray, place: NDArray) -> NDArray:
    """Return the colour of faces at places in the world."""
    if surface.uvs is None:
        return surface.face_rgba[face, :3].astype(np.float64)
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=2)
    weights = np.einsum("nij,nj->ni", np.linalg.pinv(edges), place - corners[:, 0])
    uvs = surface.uvs[face].astype(np.float64)
    uv = uvs[:, 0] + np.einsum("nk,nkc->nc", weights, uvs[:, 1:] - uvs[:, :1])
    texture = surface.textures[0]
    height, width = texture.shape[:2]
    column = np.floor(uv[:, 0] * width).astype(int) % width
    row = height - 1 - np.floor(uv[:, 1] * height).astype(int) % height
    return texture[row, column, :3] / 255


SURFACES = {
    "chair": lambda: make_shape("chair", 0, 3),
    "lamp": lambda: make_shape("lamp", 0, 5),
    "soup": random_soup,
    "textured": textured_box,
}


@pytest.fixture(scope="module", params=SURFACES)
def rendered(request: pytest.FixtureRequest):
    """A surface, its sample and its cameras."""
    surface = SURFACES[request.param]()
    lighting = Lighting(AMBIENT, DIRECTIONAL, TOWARDS_LIGHT.tolist(), two_sided=True)
    renderer = ObjectRenderer(
        SIZE, SUPERSAMPLE, lighting, viewpoints=VIEWS, maps=("depth", "normals", "shading")
    )
    return surface, renderer(surface, request.param), VIEWS.cameras(request.param, SIZE)


@pytest.fixture(scope="module")
def casts(rendered) -> list[Cast]:
    """Rays through the samples of every view."""
    surface, _, cameras = rendered
    size = (SIZE[0] * SUPERSAMPLE, SIZE[1] * SUPERSAMPLE)
    return [cast_rays(surface, cameras, view, size) for view in range(len(cameras))]


def in_pixels(samples: NDArray) -> NDArray:
    """Return [H, W, S * S, ...] samples by pixel."""
    height, width = SIZE
    blocks = samples.reshape(height, SUPERSAMPLE, width, SUPERSAMPLE, *samples.shape[2:])
    return np.moveaxis(blocks, 2, 1).reshape(height, width, SUPERSAMPLE**2, *samples.shape[2:])


def test_silhouettes_agree_within_half_a_pixel(rendered, casts: list[Cast]) -> None:
    images = rendered[1]["images"]
    half = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 2), SUPERSAMPLE // 2)
    for image, cast in zip(images, casts, strict=True):
        alpha = image[3] / 255
        inner = ndimage.binary_erosion(cast.hit, half, border_value=1)
        outer = ndimage.binary_dilation(cast.hit, half)
        assert 0.05 < cast.hit.mean() < 0.7
        assert (alpha >= in_pixels(inner).mean(axis=2) - 1e-2).all()
        assert (alpha <= in_pixels(outer).mean(axis=2) + 1e-2).all()
        # Far better than that: hardly a sample differs.
        difference = np.abs(alpha - in_pixels(cast.hit).mean(axis=2))
        assert (difference > 1 / 255).mean() < 2e-3


def test_colours_agree(rendered, casts: list[Cast]) -> None:
    for image, cast in zip(rendered[1]["images"], casts, strict=True):
        covered = in_pixels(cast.hit)[..., None]
        total = (in_pixels(cast.color) * covered).sum(axis=2)
        expected = 255 * total / np.maximum(covered.sum(axis=2), 1)
        seen = (image[3] > 0) & covered.any(axis=(2, 3))
        difference = np.abs(np.moveaxis(image[:3], 0, -1) - expected).max(axis=-1)[seen]
        # Where faces or texels meet, either may be seen.
        assert (difference > 1).mean() < 0.01
        assert difference.max() < 255 / 2


def test_depth_and_normals_agree_at_the_centres(rendered) -> None:
    surface, arrays, cameras = rendered
    for view in range(len(cameras)):
        cast = cast_rays(surface, cameras, view, SIZE)
        depth, normals = arrays["depth"][view], np.moveaxis(arrays["normals"][view], 0, -1)
        assert ((depth > 0) != cast.hit).mean() < 2e-3
        both = (depth > 0) & cast.hit
        assert both.sum() > 100
        near = np.abs(depth - cast.depth)[both] < 1e-4
        assert near.mean() > 0.99
        turned = np.abs(normals[both] / 127 - cast.normal[both]).max(axis=1)
        assert (turned < 0.5 / 127 + 1e-3).mean() > 0.99


def test_principal_points_off_the_middle_agree() -> None:
    views = StandardViews([[70.0, 0, 10.0], [0, 60.0, 25.0], [0, 0, 1]])
    surface = random_soup()
    images = ObjectRenderer(SIZE, SUPERSAMPLE, viewpoints=views, voxel_resolutions=())(
        surface, "a"
    )["images"]
    cameras = views.cameras("a", SIZE)
    for view in (1, 14):
        cast = cast_rays(surface, cameras, view, (SIZE[0] * SUPERSAMPLE, SIZE[1] * SUPERSAMPLE))
        difference = np.abs(images[view, 3] / 255 - in_pixels(cast.hit).mean(axis=2))
        assert (difference > 1 / 255).mean() < 2e-3


def test_rays_of_an_orbit_start_at_the_documented_eye() -> None:
    cameras = Cameras.orbit(*torch.tensor([[-40.0], [30.0], [2.732], [30.0]]))
    eye = -(cameras.translation @ cameras.rotation[0])[0]
    azimuth, elevation = np.radians(-40), np.radians(30)
    expected = 2.732 * np.array(
        [
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
            -np.cos(elevation) * np.cos(azimuth),
        ]
    )
    assert eye.numpy() == pytest.approx(expected, abs=1e-6)
