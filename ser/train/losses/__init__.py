"""Plugins: one file a loss."""
