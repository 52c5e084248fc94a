"""Intervals, paired tests, power, and which results may be compared."""
