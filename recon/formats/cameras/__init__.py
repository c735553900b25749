"""Cameras of images in the files that people have."""
