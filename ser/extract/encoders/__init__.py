"""Plugins: one file an encoder family. See `ser.extract.encoder` for what a file holds."""

KIND = "encoder"
