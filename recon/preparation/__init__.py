"""Preparation of a data set: sources of objects, their rendering, and checks."""
