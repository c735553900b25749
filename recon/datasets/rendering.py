"""Pictures, maps and voxels of a surface, as the ShapeNet renderings have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from recon.cameras import Cameras, as_image_size
from recon.datasets.frames import world_vertices
from recon.datasets.framing import fit_scale
from recon.datasets.layout import MAPS, Layout, Sample
from recon.datasets.sources import Item, MeshSource, TruthSource, fingerprint
from recon.datasets.supersampling import (
    MAX_SUPERSAMPLE,
    PENDING,
    average_samples,
    color_samples,
    pack_colors,
)
from recon.datasets.surfaces import Surface
from recon.datasets.texturing import FAINT, Textures, interpolate, locate
from recon.datasets.viewpoints import StandardViews, Viewpoints
from recon.lighting import Lighting, facing_normals
from recon.voxels import pack_voxels, voxelize_mesh
from renderer_cuda import gather_faces, visible_faces
from renderer_cuda.voxelization import MAX_RESOLUTION, MODES

# Counted up whenever the same settings give other arrays.
VERSION = 2
# Samples rendered at once: few enough for the cache, many enough to hide the cost of a call.
SAMPLES_AT_ONCE = 1 << 18
# Faces of all views rendered at once: about 150 MB of corners and colours.
FACES_AT_ONCE = 2_000_000
# Nearer than this part of the greatest depth, a corner is taken to be at the eye.
NEAREST = 1e-3


@dataclass(frozen=True)
class _Scene:
    """An object in the world, before cameras.

    Attributes:
        vertices: [V, 3] float32 world coordinates.
        faces: [F, 3] int64.
        corners: [1, F, 3, 3] the faces' corners.
        colors: [F, 3] sRGB.
        textures: None if no face has one.
    """

    vertices: Tensor
    faces: Tensor
    corners: Tensor
    colors: Tensor
    textures: Textures | None


@dataclass(frozen=True)
class _Views:
    """Some views of a scene.

    Attributes:
        projected: [K, F, 3, 3] corners as NDC x, NDC y and view depth.
        light: [K, F] light on the faces.
        eye: [K, 3] world coordinates.
        near, far: bounds of all depths.
    """

    projected: Tensor
    light: Tensor
    eye: Tensor
    near: float
    far: float


class ObjectRenderer:
    """Renders some views of a surface and voxelises it."""

    def __init__(
        self,
        image_size: int | Sequence[int] = 64,
        supersample: int = 4,
        lighting: Lighting | None = None,
        voxel_resolutions: Sequence[int] = (32,),
        voxel_mode: str = "softras",
        viewpoints: Viewpoints | None = None,
        maps: Sequence[str] = (),
        fit: bool = False,
    ) -> None:
        """Settings.

        Args:
            image_size: (height, width) in pixels, an int for square pictures.
            supersample: each pixel is the mean of this many samples squared, 1 to 16.
            lighting: how faces are shaded; None leaves their colours as they are.
            voxel_resolutions: voxels along each side, one grid for each number.
            voxel_mode: how surfaces are voxelised, see `renderer_cuda.voxelize`.
            viewpoints: where the cameras are; None for the 24 standard views.
            maps: what to render besides, among "shading", "depth" and "normals".
            fit: whether to shrink an object, voxels and all, until every view shows all of it.

        Raises:
            ValueError: if a size is not a positive number, or a name is unknown.
        """
        if not 1 <= supersample <= MAX_SUPERSAMPLE:
            raise ValueError(f"supersample must be 1 to {MAX_SUPERSAMPLE}, got {supersample}")
        if not all(1 <= side <= MAX_RESOLUTION for side in voxel_resolutions):
            raise ValueError(
                f"voxel_resolutions must be 1 to {MAX_RESOLUTION}, got {list(voxel_resolutions)}"
            )
        if voxel_mode not in MODES:
            raise ValueError(f"voxel_mode must be one of {', '.join(MODES)}, got {voxel_mode!r}")
        self.image_size = as_image_size(image_size)
        self.supersample = supersample
        self.lighting = lighting
        self.voxel_mode = voxel_mode
        self.viewpoints: Viewpoints = StandardViews() if viewpoints is None else viewpoints
        self.fit = fit
        self._layout = Layout(
            self.image_size,
            self.viewpoints.num_views,
            tuple(voxel_resolutions),
            tuple(sorted(maps, key=MAPS.index)) if set(maps) <= set(MAPS) else tuple(maps),
        )

    def layout(self) -> Layout:
        """Return which arrays every sample has."""
        return self._layout

    def recipe(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        light = self.lighting
        return {
            "version": VERSION,
            "image_size": list(self.image_size),
            "supersample": self.supersample,
            "lighting": light
            and {
                "ambient": light.ambient,
                "directional": light.directional,
                "direction": [round(value, 6) for value in light.direction.tolist()],
                "two_sided": light.two_sided,
            },
            "voxel_resolutions": list(self._layout.voxel_resolutions),
            "voxel_mode": self.voxel_mode,
            "viewpoints": self.viewpoints.recipe(),
            "maps": list(self._layout.maps),
            "fit": self.fit,
        }

    @torch.no_grad()
    def __call__(self, surface: Surface, object_id: str) -> Sample:
        """Return the arrays of one object.

        Args:
            surface: in the ShapeNetCore v1 frame: front +X, up +Y.
            object_id: by which viewpoints may differ.

        Raises:
            ValueError: if there are no faces, the object is not in front of a camera, or does not
                fit although it should.
        """
        cameras = self.viewpoints.cameras(object_id, self.image_size)
        scene = self._scene(surface, cameras)
        sample: Sample = self._render(scene, cameras)
        sample["cameras"] = cameras.rows().numpy()
        for resolution in self._layout.voxel_resolutions:
            grid = voxelize_mesh(scene.vertices[None], scene.faces, resolution, self.voxel_mode)
            sample[f"voxels_{resolution}"] = pack_voxels(grid)[0]
        return sample

    def _scene(self, surface: Surface, cameras: Cameras) -> _Scene:
        mesh = surface.mesh()
        colors = mesh.face_colors
        assert colors is not None
        vertices, faces = _used_vertices(world_vertices(mesh.vertices), mesh.faces)
        if self.fit:
            vertices = vertices * fit_scale(vertices, cameras, self.image_size)
        return _Scene(
            vertices=vertices,
            faces=faces,
            corners=gather_faces(vertices[None], faces),
            colors=colors,
            textures=Textures(surface) if surface.textured.any() else None,
        )

    def _render(self, scene: _Scene, cameras: Cameras) -> Sample:
        """Return images and maps of all views, made of some views at a time."""
        height, width = self.image_size
        samples = height * width * self.supersample**2
        count = len(scene.faces)
        at_once = max(1, min(SAMPLES_AT_ONCE // samples, FACES_AT_ONCE // count))
        whole = cameras.project(scene.vertices.expand(len(cameras), -1, -1), self.image_size)
        near, far = _depth_bounds(whole)
        eye = cameras.eye()
        light = self._light(scene, eye)
        parts: dict[str, list[Tensor]] = {}
        for start in range(0, len(cameras), at_once):
            some = slice(start, start + at_once)
            views = _Views(
                gather_faces(whole[some], scene.faces), light[some], eye[some], near, far
            )
            for name, value in self._render_views(scene, views).items():
                parts.setdefault(name, []).append(value)
        return {name: torch.cat(values).numpy() for name, values in parts.items()}

    def _light(self, scene: _Scene, eye: Tensor) -> Tensor:
        """Return [K, F] how bright the faces are in each view."""
        if self.lighting is None:
            return torch.ones(1, 1).expand(len(eye), len(scene.faces))
        return self.lighting.intensity(scene.corners, eye).expand(len(eye), -1)

    def _render_views(self, scene: _Scene, views: _Views) -> dict[str, Tensor]:
        height, width = self.image_size
        seen = _see(scene, views, (height * self.supersample, width * self.supersample))
        images = average_samples(self._shade(scene, views, seen), self.supersample)
        rendered = {"images": images}
        if "shading" in self._layout.maps:
            white = pack_colors(
                views.light.clamp(max=1)[..., None].expand(-1, -1, 3), self.supersample
            )
            rendered["shading"] = average_samples(color_samples(seen, white), self.supersample)[
                :, 0
            ]
        if {"depth", "normals"} & set(self._layout.maps):
            rendered |= self._center_maps(scene, views)
        return rendered

    def _shade(self, scene: _Scene, views: _Views, seen: Tensor) -> Tensor:
        """Return the packed colour [K, H, W] of every sample."""
        colors = (scene.colors * views.light[..., None]).clamp_(max=1)
        table = pack_colors(colors, self.supersample)
        textures = scene.textures
        if textures is None:
            return color_samples(seen, table)
        samples = color_samples(seen, table.masked_fill_(textures.textured, PENDING))
        for view, flat in enumerate(samples.flatten(1)):
            pending = (flat == PENDING).nonzero().squeeze(1)
            hits = locate(views.projected[view], seen[view], pending)
            light = views.light[view].index_select(0, hits.faces) / 255
            texels = textures.look_up(hits)[:, :3] * light[:, None]
            flat[pending] = pack_colors(texels.clamp_(max=1), self.supersample)
        return samples

    def _center_maps(self, scene: _Scene, views: _Views) -> dict[str, Tensor]:
        """Return depth and normals at the centres of pixels, as far as they are wanted."""
        seen = _see(scene, views, self.image_size)
        maps: dict[str, Tensor] = {}
        if "depth" in self._layout.maps:
            maps["depth"] = torch.stack(
                [
                    _depth(corners, faces)
                    for corners, faces in zip(views.projected, seen, strict=True)
                ]
            )
        if "normals" in self._layout.maps:
            facing = facing_normals(scene.corners, views.eye).mul(127).round().to(torch.int8)
            maps["normals"] = torch.stack(
                [
                    _values_seen(faces, normals.t(), 0)
                    for faces, normals in zip(seen, facing, strict=True)
                ]
            )
        return maps


def _depth(projected: Tensor, seen: Tensor) -> Tensor:
    """Return the view depth [H, W] of the faces seen, 0 where there is none."""
    depth = torch.zeros(seen.shape)
    covered = (seen.view(-1) >= 0).nonzero().squeeze(1)
    depth.view(-1)[covered] = interpolate(projected[..., 2].t(), locate(projected, seen, covered))
    return depth


def _used_vertices(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Leave out the vertices of no face: they need not be in front of any camera."""
    used = torch.zeros(len(vertices), dtype=torch.bool)
    used[faces.flatten()] = True
    rows = used.cumsum(0) - 1
    return vertices[used], rows[faces]


def _depth_bounds(projected: Tensor) -> tuple[float, float]:
    """Return bounds of the depths in all views; refuse an object that is not in front of an eye."""
    low, high = projected[..., 2].amin(dim=1), float(projected[..., 2].max())
    behind = (low <= NEAREST * high).nonzero()
    if len(behind):
        view = int(behind[0])
        raise ValueError(
            f"the object reaches to the eye of view {view} or behind it: depth {low[view]:g}"
        )
    return 0.5 * float(low.min()), 2 * high


def _see(scene: _Scene, views: _Views, size: tuple[int, int]) -> Tensor:
    """Return the face [K, H, W] int32 at every sample, -1 where there is none.

    Through a hole of a texture one sees the faces whose textures have no holes.
    """
    seen = visible_faces(views.projected, size, near=views.near, far=views.far)
    textures = scene.textures
    if textures is None or not bool(textures.holed.any()):
        return seen
    solid = (~textures.holed).nonzero().squeeze(1)
    behind = visible_faces(views.projected[:, solid], size, near=views.near, far=views.far)
    for view, faces in enumerate(seen):
        holed = _values_seen(faces, textures.holed, False).view(-1).nonzero().squeeze(1)
        texels = textures.look_up(locate(views.projected[view], faces, holed))
        holes = holed[texels[:, 3] < FAINT]
        faces.view(-1)[holes] = _values_seen(behind[view].view(-1)[holes], solid.int(), -1)
    return seen


def _values_seen(seen: Tensor, values: Tensor, nothing: bool | int) -> Tensor:
    """Return the value [..., F] of each face seen [...], or `nothing` where there is none."""
    table = torch.cat([values.new_full((*values.shape[:-1], 1), nothing), values], dim=-1)
    picked = table.index_select(-1, seen.reshape(-1) + 1)
    return picked.view(*values.shape[:-1], *seen.shape)


class RenderedSource:
    """The pictures which a renderer makes of a source of meshes, with its points if it has any."""

    def __init__(self, meshes: MeshSource, renderer: ObjectRenderer) -> None:
        """Pair a source with a renderer.

        Raises:
            ValueError: if objects are to be shrunk which have points: these would not fit.
        """
        self.name = meshes.name
        self._meshes, self._renderer = meshes, renderer
        self._truth = meshes if isinstance(meshes, TruthSource) else None
        if renderer.fit and self._truth is not None and any(self._truth.truth_sizes()):
            raise ValueError(f"fit=true would shrink the objects of {self.name}, not their points")

    def recipe(self) -> dict[str, Any]:
        """Return the recipes of both."""
        return {"source": self._meshes.recipe(), "rendering": self._renderer.recipe()}

    def objects(self) -> list[Item]:
        """Return the objects of the source, with fingerprints of object and rendering.

        Raises:
            ValueError, OSError: as the source of meshes does.
        """
        rendering = self._renderer.recipe()
        return [
            replace(item, fingerprint=fingerprint([item.fingerprint, rendering]))
            for item in self._meshes.objects()
        ]

    def layout(self) -> Layout:
        """Return which arrays every sample has."""
        points, surface = (0, 0) if self._truth is None else self._truth.truth_sizes()
        return replace(self._renderer.layout(), num_points=points, num_surface_points=surface)

    def sample(self, item: Item) -> Sample:
        """Load an object and render it.

        Raises:
            ValueError, OSError: if this one object is broken.
        """
        sample = self._renderer(self._meshes.load(item), item.id)
        return sample if self._truth is None else sample | self._truth.truth(item)
