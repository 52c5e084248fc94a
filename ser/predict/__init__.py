"""A saved head and its encoders on new recordings."""
