"""Finds the object of an image that has no mask, before any background."""
