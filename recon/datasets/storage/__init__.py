"""The HDF5 file of a data set: its layout, writing, reading and compression."""
