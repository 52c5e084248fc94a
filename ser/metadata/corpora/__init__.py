"""Plugins: one file a corpus. See `ser.metadata.table.Corpus` for what a file holds."""
