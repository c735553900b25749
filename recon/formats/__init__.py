"""Readers of files: meshes, pictures, voxel grids and arrays, believing no header."""
