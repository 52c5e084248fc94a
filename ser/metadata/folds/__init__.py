"""Folds: the utterances of training, validation and test."""
