"""Meshes of images from anywhere, with a trained model."""
