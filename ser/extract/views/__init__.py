"""Augmented views of the audio: what is done to it, and encoders that read it."""
