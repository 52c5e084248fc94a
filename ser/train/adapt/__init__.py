"""Plugins: one file a method of unsupervised domain adaptation."""

KIND = "adaptation method"
