"""From a surface to images, maps and voxels."""
