"""Plugins: one file per encoder family. See `ser.extract.encoder` for the contents of a file."""

KIND = "encoder"
# What `ser new` copies, and how to see it at work in the workspace of `ser demo`, see `ser.starter`.
COPY = "mfcc"
TRY = "ser extract --dataset demo-studio --root corpora/demo-studio --audio ./NAME.py"
CLASS, BASE = "load", "ser.extract.encoder:Encoder"  # of a plugin from outside, see `ser.outside`
NEEDS = ("MODALITY", "SOURCE", "LICENCE", "LEVELS", "CHECKPOINTS", "DIM")
