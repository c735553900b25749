"""Rendering of meshes to images, maps, voxels and points for a data set."""
