"""Readers of mesh files, which believe no header."""
