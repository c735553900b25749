"""Fitting the joints of an articulated mesh to an image."""
