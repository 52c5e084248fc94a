"""Plugins: one file per encoder family. See `ser.extract.encoder` for the contents of a file."""

KIND = "encoder"
CLASS, BASE = "load", "ser.extract.encoder:Encoder"  # of a plugin from outside, see `ser.outside`
NEEDS = ("MODALITY", "SOURCE", "LICENCE", "LEVELS", "CHECKPOINTS", "DIM")
