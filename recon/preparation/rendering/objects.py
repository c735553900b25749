"""Images, maps, voxels and points of a surface, as the ShapeNet renderings have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from recon.arguments import ImageSide, PointCount, Supersampling, VoxelSide
from recon.datasets.storage.layout import MAPS, Layout, ObjectArrays
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.geometry.cameras import Cameras, as_image_size
from recon.geometry.frames import world_vertices
from recon.geometry.voxels import pack_voxels, voxelize_mesh
from recon.preparation.rendering.coincident import has_two_sided_faces
from recon.preparation.rendering.deferred import Scene, Views, render_views
from recon.preparation.rendering.framing import fit_scale
from recon.preparation.rendering.points import occupied_points, surface_points
from recon.preparation.rendering.supersampling import MAX_SUPERSAMPLE
from recon.preparation.rendering.texturing import Textures
from recon.preparation.rendering.triangles import coloured_triangles
from recon.preparation.rendering.viewpoints import StandardViews, Viewpoints
from recon.preparation.sources.interface import MeshSource, ObjectEntry, TruthSource, fingerprint
from recon.rendering.lighting import Lighting
from renderer_cuda import gather_faces
from renderer_cuda.voxelization import MAX_RESOLUTION, MODES

# Counted up whenever the same config gives other arrays; 3 shows the right one of two faces that
# lie on each other.
VERSION = 3
# Samples rendered at once: few enough for the cache, many enough to hide the cost of a call.
SAMPLES_AT_ONCE = 1 << 18
# Faces of all views rendered at once: about 150 MB of corners and colours.
FACES_AT_ONCE = 2_000_000
# Fewer triangles than this show no shape: the coarsest simplification has about as many.
MIN_TRIANGLES = 64
# Nearer than this part of the greatest depth, a corner is taken to be at the eye.
NEAREST = 1e-3


class ObjectRenderer:
    """Renders some views of a surface, voxelises it and draws points.

    Args:
        image_size: (height, width) in pixels, an int for square images.
        supersample: Each pixel is the mean of this many samples squared, 1 to 16.
        lighting: How faces are shaded, by white lights and flat; None leaves their colours as
            they are.
        voxel_resolutions: The numbers of voxels along each side, one grid for each number.
        voxel_mode: How surfaces are voxelised, as for `renderer_cuda.voxelize`.
        viewpoints: The cameras; None means the 24 standard views.
        maps: The maps to render besides, among "shading", "depth" and "normals".
        fit: Whether to shrink an object, voxels and all, until every view shows all of it.
        triangles: The number of coloured triangles to keep of the surface, 0 for none.
        num_points: The number of points with occupancies, see `recon.preparation.rendering.points`.
        num_surface_points: The number of surface points with normals, spread evenly over the area.

    Raises:
        ValueError: If a size is not a positive number, a name is unknown, lights are coloured
            or smooth, or `triangles` is too small a number.
    """

    def __init__(
        self,
        image_size: ImageSide | Sequence[ImageSide] = 64,
        supersample: Supersampling = 4,
        lighting: Lighting | None = None,
        voxel_resolutions: Sequence[VoxelSide] = (32,),
        voxel_mode: str = "softras",
        viewpoints: Viewpoints | None = None,
        maps: Sequence[str] = (),
        fit: bool = False,
        triangles: PointCount = 0,
        num_points: PointCount = 0,
        num_surface_points: PointCount = 0,
    ) -> None:
        if not 1 <= supersample <= MAX_SUPERSAMPLE:
            raise ValueError(f"supersample must be 1 to {MAX_SUPERSAMPLE}, got {supersample}")
        if not all(1 <= side <= MAX_RESOLUTION for side in voxel_resolutions):
            raise ValueError(
                f"voxel_resolutions must be 1 to {MAX_RESOLUTION}, got {list(voxel_resolutions)}"
            )
        if voxel_mode not in MODES:
            raise ValueError(f"voxel_mode must be one of {', '.join(MODES)}, got {voxel_mode!r}")
        if not set(maps) <= set(MAPS):
            raise ValueError(f"maps must be among {', '.join(MAPS)}, got {list(maps)}")
        if triangles and triangles < MIN_TRIANGLES:
            raise ValueError(f"triangles must be 0 or >= {MIN_TRIANGLES}, got {triangles}")
        if lighting is not None and not (lighting.white and lighting.normals == "face"):
            raise ValueError('lighting must be white and have normals="face"')
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
            tuple(name for name in MAPS if name in maps),
            num_points,
            num_surface_points,
            triangles,
        )

    def layout(self) -> Layout:
        """Returns which arrays every object has."""
        return self._layout

    def config(self) -> dict[str, Any]:
        """Returns the configuration as plain data."""
        layout = self._layout
        later = {
            "triangles": layout.num_triangles,
            "num_points": layout.num_points,
            "num_surface_points": layout.num_surface_points,
        }
        return {
            "version": VERSION,
            "image_size": list(self.image_size),
            "supersample": self.supersample,
            "lighting": self.lighting and self.lighting.config(),
            "voxel_resolutions": list(layout.voxel_resolutions),
            "voxel_mode": self.voxel_mode,
            "viewpoints": self.viewpoints.config(),
            "maps": list(layout.maps),
            "fit": self.fit,
            # Files made before these arguments existed have no such keys and no such arrays.
            **{name: number for name, number in later.items() if number},
        }

    @torch.no_grad()
    def __call__(self, surface: TexturedMesh, object_id: str) -> ObjectArrays:
        """Returns the arrays of one object.

        Args:
            surface: The surface in the ShapeNetCore v1 frame: front +X, up +Y.
            object_id: The id of the object, on which viewpoints may depend.

        Raises:
            ValueError: If there are no faces, the object is not in front of a camera or does not
                fit although it should, or points are asked of a surface without area.
        """
        cameras = self.viewpoints.cameras(object_id, self.image_size)
        scene = self._scene(surface, cameras)
        arrays: ObjectArrays = self._render(scene, cameras)
        arrays["cameras"] = cameras.rows().numpy()
        for resolution in self._layout.voxel_resolutions:
            grid = voxelize_mesh(scene.vertices[None], scene.faces, resolution, self.voxel_mode)
            arrays[f"voxels_{resolution}"] = pack_voxels(grid)[0]
        if self._layout.num_triangles:
            arrays |= coloured_triangles(scene, self._layout.num_triangles)
        return arrays | self._points(scene, object_id)

    def _points(self, scene: Scene, object_id: str) -> ObjectArrays:
        arrays: ObjectArrays = {}
        if count := self._layout.num_points:
            arrays |= occupied_points(scene.vertices, scene.faces, count, object_id)
        if count := self._layout.num_surface_points:
            arrays |= surface_points(scene.vertices, scene.faces, count, object_id)
        return arrays

    def _scene(self, surface: TexturedMesh, cameras: Cameras) -> Scene:
        mesh = surface.mesh()
        colors = mesh.face_colors
        assert colors is not None
        vertices, faces = _used_vertices(world_vertices(mesh.vertices), mesh.faces)
        if self.fit:
            vertices = vertices * fit_scale(vertices, cameras, self.image_size)
        return Scene(
            vertices=vertices,
            faces=faces,
            corners=gather_faces(vertices[None], faces),
            colors=colors,
            textures=Textures(surface) if surface.textured.any() else None,
            two_sided=has_two_sided_faces(
                vertices.numpy(), faces.numpy(), colors.numpy(), surface.textured
            ),
        )

    def _render(self, scene: Scene, cameras: Cameras) -> ObjectArrays:
        """Returns images and maps of all views, made of some views at a time."""
        parts: dict[str, list[Tensor]] = {}
        for views in self._views(scene, cameras):
            rendered = render_views(
                scene, views, self.image_size, self.supersample, self._layout.maps
            )
            for name, value in rendered.items():
                parts.setdefault(name, []).append(value)
        return {name: torch.cat(values).numpy() for name, values in parts.items()}

    def _views(self, scene: Scene, cameras: Cameras) -> Iterator[Views]:
        """Yields the views of a scene, some at a time."""
        count, (height, width) = len(cameras), self.image_size
        projected = cameras.project(scene.vertices.expand(count, -1, -1), self.image_size)
        near, far = _depth_bounds(projected)
        eye = cameras.eye()
        many = max(1, FACES_AT_ONCE // len(scene.faces))
        few = max(1, SAMPLES_AT_ONCE // (height * width * self.supersample**2))
        for start in range(0, count, many):
            light = self._light(scene, eye[start : start + many])
            for first in range(0, len(light), few):
                some = slice(start + first, min(start + first + few, start + len(light)))
                yield Views(
                    projected=gather_faces(projected[some], scene.faces),
                    light=light[first : first + few],
                    eye=eye[some],
                    near=near,
                    far=far,
                )

    def _light(self, scene: Scene, eye: Tensor) -> Tensor:
        """Returns [K, F] how bright the faces are for each eye."""
        if self.lighting is None:
            return torch.ones(1, 1).expand(len(eye), len(scene.faces))
        return self.lighting.intensity(scene.corners, eye).expand(len(eye), -1)


def _used_vertices(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Removes the vertices that no face uses: they need not be in front of any camera."""
    used = torch.zeros(len(vertices), dtype=torch.bool)
    used[faces.flatten()] = True
    rows = used.cumsum(0) - 1
    return vertices[used], rows[faces]


def _depth_bounds(projected: Tensor) -> tuple[float, float]:
    """Returns bounds of the depths in all views, which must lie in front of every eye."""
    low, high = projected[..., 2].amin(dim=1), float(projected[..., 2].max())
    behind = (low <= NEAREST * high).nonzero()
    if len(behind):
        view = int(behind[0])
        raise ValueError(
            f"the object reaches to the eye of view {view} or behind it: depth {low[view]:g}"
        )
    return 0.5 * float(low.min()), 2 * high


class RenderedSource:
    """The images which a renderer makes of a source of meshes, with its points if it has any.

    Args:
        meshes: The source of meshes.
        renderer: The renderer that makes images of them.

    Raises:
        ValueError: If the renderer shrinks objects that have points, which would then not fit, or
            if points are asked of both.
    """

    def __init__(self, meshes: MeshSource, renderer: ObjectRenderer) -> None:
        self.name = meshes.name
        self._meshes, self._renderer = meshes, renderer
        self._truth = meshes if isinstance(meshes, TruthSource) else None
        if renderer.fit and self._truth is not None and any(self._truth.truth_sizes()):
            raise ValueError(f"fit=true would shrink the objects of {self.name}, not their points")
        drawn = (renderer.layout().num_points, renderer.layout().num_surface_points)
        if self._truth is not None and any(self._truth.truth_sizes()) and any(drawn):
            raise ValueError(
                f"the points of {self.name} are in its files, so rendering.num_points and"
                f" rendering.num_surface_points must be 0, got {drawn[0]} and {drawn[1]}"
            )

    def config(self) -> dict[str, Any]:
        """Returns the configurations of both."""
        return {"source": self._meshes.config(), "rendering": self._renderer.config()}

    def objects(self) -> list[ObjectEntry]:
        """Returns the objects of the source, with fingerprints of object and rendering.

        Raises:
            ValueError, OSError: If the source of meshes raises it.
        """
        rendering = self._renderer.config()
        return [
            replace(entry, fingerprint=fingerprint([entry.fingerprint, rendering]))
            for entry in self._meshes.objects()
        ]

    def layout(self) -> Layout:
        """Returns which arrays every object has."""
        layout = self._renderer.layout()
        points, surface = (0, 0) if self._truth is None else self._truth.truth_sizes()
        if not points and not surface:
            return layout
        return replace(layout, num_points=points, num_surface_points=surface)

    def arrays(self, entry: ObjectEntry) -> ObjectArrays:
        """Loads an object and renders it.

        Raises:
            ValueError, OSError: If this one object is broken.
        """
        arrays = self._renderer(self._meshes.load(entry), entry.id)
        return arrays if self._truth is None else arrays | self._truth.truth(entry)
