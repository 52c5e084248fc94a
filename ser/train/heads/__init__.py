"""Plugins: one file for each head; `_base.py` describes such a file."""

KIND = "head"
