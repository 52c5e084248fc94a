"""Plugins: one file for each loss; `_base.py` describes such a file."""

from ser import outside, registry

KIND = "loss"
# What `ser new` copies, and how to see it at work in the workspace of `ser demo`, see `ser.starter`.
COPY = "cross_entropy"
TRY = "ser fit DEMO --loss ./NAME.py"
CLASS, BASE = "Loss", "ser.train.losses._base:Term"  # of a plugin from outside, see `ser.outside`


def split(word: str) -> tuple[str, str]:
    """One loss of a sum, as written, and its weight, "" where it has none.

    >>> split("cb_focal:0.3"), split("./mine.py:Mine:0.3")
    (('cb_focal', '0.3'), ('./mine.py:Mine', '0.3'))
    """
    reference, weight = outside.split_reference(word.strip())
    name, _, number = word.partition(":")
    if reference and name.strip() not in registry.names("ser.train.losses"):
        return reference, weight.strip()
    return name.strip(), number.strip()


def resolved(text: str) -> str:
    """A sum of losses with the names that records have for those from outside; see `ser.registry.resolve`."""
    words = [split(word) for word in text.split(",")]
    if not any(outside.is_reference(name) for name, _ in words):
        return text
    named = [(registry.resolve("ser.train.losses", name), weight) for name, weight in words]
    return ",".join(f"{name}:{weight}" if weight else name for name, weight in named)
