"""Plugins: one file for each loss. `_base.py` says what a file holds."""

KIND = "loss"
