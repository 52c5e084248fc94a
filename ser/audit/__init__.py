"""The audit: faults that would make numbers mislead, in tables, audio, features, protocols and records of data."""
