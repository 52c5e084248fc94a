"""Plugins: one file a corpus. See `ser.metadata.corpus.Corpus` for what a file holds."""

KIND = "corpus"
