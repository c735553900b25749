"""Readers of camera files in the common formats."""
