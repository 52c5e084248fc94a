"""Plugins: one file a loss."""

KIND = "loss"
