"""The cache: HDF5 feature stores, and the tensors that are made of them."""
