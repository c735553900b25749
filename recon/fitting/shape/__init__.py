"""Fitting a shape to images from known cameras."""
