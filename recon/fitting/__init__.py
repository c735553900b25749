"""Shapes, poses, joints, cameras and lights, found from images without any network."""
