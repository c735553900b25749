"""Checks of prepared data: numbers, warnings and contact sheets."""
