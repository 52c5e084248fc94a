"""Experiments and studies: one file per training command, from options to a record."""

from ser.workers.threads import lasting

with lasting():
    import torch  # noqa: F401
