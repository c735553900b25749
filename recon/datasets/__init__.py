"""Mesh readers, mesh sources and the multi-view HDF5 data set."""
