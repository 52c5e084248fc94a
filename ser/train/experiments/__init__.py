"""Experiments and studies: one file per training command, from options to a record."""

import gc

# All that torch makes as it is imported stays: garbage collection goes through it again and again, an eighth of the import.
collects = gc.isenabled()
gc.disable()
try:
    import torch  # noqa: F401
finally:
    if collects:
        gc.enable()
