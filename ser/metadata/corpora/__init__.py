"""Plugins: one file per corpus. See `ser.metadata.corpus.Corpus` for the contents of a file."""

KIND = "corpus"
# What `ser new` copies, and how to see it at work in the workspace of `ser demo`, see `ser.starter`.
COPY = "emovo"
TRY = "ser metadata --dataset NAME --root DIR --format ./NAME.py"
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
