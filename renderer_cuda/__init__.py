"""A differentiable soft rasterizer, a hard one and a voxeliser for PyTorch, on CPU and CUDA."""

from renderer_cuda.gathering import gather_faces
from renderer_cuda.ops import count_skipped_faces, soft_rasterize, soft_silhouette
from renderer_cuda.projection import project
from renderer_cuda.reference import soft_rasterize_reference, soft_silhouette_reference
from renderer_cuda.visibility import visible_faces, visible_faces_reference
from renderer_cuda.voxelization import voxelize, voxelize_reference

__all__ = [
    "count_skipped_faces",
    "gather_faces",
    "project",
    "soft_rasterize",
    "soft_rasterize_reference",
    "soft_silhouette",
    "soft_silhouette_reference",
    "visible_faces",
    "visible_faces_reference",
    "voxelize",
    "voxelize_reference",
]
