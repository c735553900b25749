"""Shapes, poses, joints, cameras and lights, found from pictures without any network."""
