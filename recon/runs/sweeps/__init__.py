"""Sweeps of many runs: searches for the best configuration, and comparisons of runs."""
