"""Plugins: one file an architecture. See `ser.train.head` for what a file holds."""
