"""Features that were made elsewhere, read from CSV, NPY, NPZ and pickle files into a table and feature stores."""
