"""From a surface to pictures, maps and voxels."""
