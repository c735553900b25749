"""Meshes of pictures from anywhere, with a trained model."""
