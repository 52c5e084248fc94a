"""Plugins: one file for each method of unsupervised domain adaptation; `_base.py` describes such a file."""

KIND = "adaptation method"
