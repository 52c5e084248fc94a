"""Several labels of each utterance: the table's column `label` with `;` between them, as `anger;sadness`.

Each class of the label scheme is a yes or no. An utterance whose labels are all left out by the scheme has none of them.
Heads give a probability by a sigmoid for each label; above 0.5 it is predicted.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ser.errors import ConfigError
from ser.metadata.labels import from_word
from ser.metadata.targets import TargetRows, left_out

if TYPE_CHECKING:
    from ser.metadata.labels import Scheme
    from ser.metadata.table import Table

LOSS, SELECTION, OUTPUT = "bce", "F1_macro", "sigmoid"
SELECTIONS = ("F1_macro", "loss", "last")
UNUSED = ("label_smoothing",)


def read(table: "Table", rule: "Scheme", names: tuple[str, ...], shared: Sequence[str] | None = None) -> TargetRows:
    """The rows with labels, of which those that are not shared count as absent.

    Raises:
        ConfigError: no utterance has several labels, or fewer than two labels of the scheme differ between utterances.
    """
    frame = table.frame
    if not frame["label"].str.contains(";", regex=False).any():
        raise ConfigError(
            f"--target labels: no utterance of {table.dataset} has several labels",
            expected="a column labels with all emotions of an utterance, as anger;sadness",
        )
    keep = (frame["label"] != "").to_numpy()
    place = {name: k for k, name in enumerate(rule.classes)}
    values, outside = np.zeros((int(keep.sum()), len(rule.classes))), Counter[str]()
    for n, text in enumerate(frame["label"][keep]):
        for word in map(str.strip, text.split(";")):
            k = place.get(rule.mapping.get(word) or rule.mapping.get(from_word(word), ""))
            if k is not None:
                values[n, k] = 1
            else:
                outside[word] += 1
    varies = [k for k in range(len(rule.classes)) if 0 < values[:, k].sum() < len(values)]
    if len(varies) < 2:
        raise ConfigError(
            f"--target labels: scheme {rule.name} leaves fewer than two labels that differ between utterances",
            found=f"{_listed(outside)}, which it does not know" if outside else "the same labels everywhere",
        )
    chosen = [k for k in varies if shared is None or rule.classes[k] in shared]
    own = Counter({rule.classes[k]: int(values[:, k].sum()) for k in varies if k not in chosen})
    values = values[:, chosen]
    outputs = tuple(rule.classes[k] for k in chosen)
    nothing = np.zeros(len(values), dtype=bool)
    stamps = [f"labels that are no class of scheme {rule.name} count as absent: {_listed(outside)}"] if outside else []
    stamps += [f"labels that not all corpora have count as absent: {_listed(own)}"] if own else []
    return TargetRows(keep, outputs, values, values.argmax(1), nothing, left_out(frame, keep, "no labels"), stamps)


def _listed(words: Counter[str]) -> str:
    """Words with their counts, the commonest first."""
    return ", ".join(f"{word} {count}" for word, count in words.most_common(10))
