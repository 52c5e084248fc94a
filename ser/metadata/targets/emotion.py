"""One class for each utterance: the emotion under a label scheme. Heads give probabilities by a softmax."""

from typing import Any

LOSS, SELECTION, OUTPUT = "cross_entropy", "UA", "softmax"
SELECTIONS = ("UA", "WA", "loss", "last")
UNUSED = ()


def read(table: Any, rule: Any, names: tuple[str, ...]) -> None:
    """Classes are read by `ser.features.tensors` itself, as they always were."""
