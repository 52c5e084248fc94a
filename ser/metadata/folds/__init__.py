"""Who is in training, validation and test."""
