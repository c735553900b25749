"""Fitting the camera and the light of a known mesh to an image."""
