"""Predictions -> numbers, records and pictures."""
