"""Rendering of meshes: the soft renderer and its lights."""
