"""Feature stores: HDF5 files that are written once, checked, and read in bulk."""
