"""One file per training command: from options to a record."""
