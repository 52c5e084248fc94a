"""Explanations of trained heads: class activation, attention, layers and modalities, as arrays and pictures."""
