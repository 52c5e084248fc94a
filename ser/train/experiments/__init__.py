"""Experiments and studies: one file per training command, from options to a record."""
