"""Fitting the pose of a known mesh to an image."""
