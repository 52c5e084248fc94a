"""Import of features that were made elsewhere: from CSV, NPY, NPZ and pickle files into a table and feature stores."""
