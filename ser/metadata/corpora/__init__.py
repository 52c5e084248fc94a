"""Plugins: one file per corpus. See `ser.metadata.corpus.Corpus` for the contents of a file."""

KIND = "corpus"
