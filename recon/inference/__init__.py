"""Reconstructs meshes from any images with a trained model."""
