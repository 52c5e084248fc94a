"""Plugins: one file an architecture. See `ser.train.nn.head` for what a file holds."""

KIND = "head"
