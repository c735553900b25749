"""Readers of mesh files, which trust no header."""
