"""Readers and writers of meshes, images, cameras, voxel grids and arrays; no header is trusted."""
