"""Checks of prepared data for a person to look at."""
