"""Plugins: one file for each loss; `_base.py` describes such a file."""

KIND = "loss"
