"""Plugins: one file per corpus. See `ser.metadata.corpus.Corpus` for the contents of a file."""

KIND = "corpus"
NEEDS = (  # of a plugin from outside, see `ser.outside`
    "TITLE",
    "CITATION",
    "LICENCE",
    "URL",
    "LANGUAGE",
    "TREE",
    "LABELS",
    "UTTERANCES",
    "SENTENCES",
    "parse",
)
