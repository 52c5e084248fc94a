"""Plugins: one file for each head. `_base.py` says what a file holds."""

KIND = "head"
