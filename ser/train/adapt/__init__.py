"""Plugins: one file for each method of unsupervised domain adaptation. `_base.py` says what a file holds."""

KIND = "adaptation method"
