"""Verification of records: every number is computed again."""
