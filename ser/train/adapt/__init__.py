"""Plugins: one file a method of unsupervised domain adaptation."""
