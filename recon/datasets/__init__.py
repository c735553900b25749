"""The multi-view data set: its HDF5 files, its categories and how batches are drawn."""
