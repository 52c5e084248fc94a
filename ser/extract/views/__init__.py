"""Augmented views of the audio: the changes to it, and encoders that read it."""
