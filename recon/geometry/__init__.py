"""Cameras, meshes, texels, voxels, frames and rotations."""
