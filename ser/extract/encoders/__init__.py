"""Plugins: one file per encoder family. See `ser.extract.encoder` for the contents of a file."""

KIND = "encoder"
