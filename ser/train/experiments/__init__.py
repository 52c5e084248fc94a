"""Experiments and studies: one file per training command, from options to a record."""

import gc

# All that torch makes as it is imported stays: to look for rubbish among it again and again is an eighth of its import.
collects = gc.isenabled()
gc.disable()
try:
    import torch  # noqa: F401
finally:
    if collects:
        gc.enable()
