"""Readers of files: meshes, images, voxel grids and arrays, believing no header."""
