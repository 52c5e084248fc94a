"""Prediction by a saved head and its encoders on new recordings."""
