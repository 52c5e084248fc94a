"""Layers with a leading run dimension, parameters of a stack, random streams."""
