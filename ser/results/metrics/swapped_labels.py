"""Classes that fit better as each other: the sign of a label map that is swapped between two corpora.

A head that is no better than chance confuses all classes with all. One that takes `neutral` for `sadness` and the
reverse more often than not has learned both classes under the other's name. The classes to look at are given by the
permutation of the classes that agrees best with the confusion matrix (Kuhn 1955, by SciPy): the identity where labels mean
the same. Each cycle of another permutation is a suspect in one of two cases:

- it is plain: every class is predicted as its partner for at least `TAKEN` and as itself for at most `KEPT` of its utterances;
- it is significant: recall of these classes would be higher by `GAIN` or more if they were exchanged, over speakers too
  (Wilcoxon's signed-rank test, one-sided; p times the number of pairs of classes, as this pair was chosen, is below `LEVEL`).

Across corpora heads are often poor, so that swapped labels show in the second way only, or not at all: finding no suspect
proves nothing.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.results.metrics.classification import confusion
from ser.results.records.numbers import MistakenFor, Suspect

TAKEN, KEPT = 0.5, 0.25
GAIN, LEVEL = 0.05, 0.05

Shares = NDArray[np.float64]


def suspects(predictions: pd.DataFrame, classes: Sequence[str]) -> list[Suspect]:
    """Find cycles of classes that may be swapped, from the test predictions of all runs; none of targets without classes.

    Returns:
        One suspect for each cycle; its `p` is over speakers, adjusted, and None where there are fewer than five or they are
        not known.
    """
    if "true" not in predictions:
        return []
    test = predictions[predictions["split"] == "test"]
    whole = _shares(test, classes)
    agreement = np.nan_to_num(whole)
    if (agreement.diagonal() >= agreement.max(1)).all():  # no permutation agrees better than none
        return []
    from scipy.optimize import linear_sum_assignment  # takes a third of a second

    partner = linear_sum_assignment(-agreement)[1]
    found = []
    for cycle in _cycles(partner):
        to = partner[cycle]
        straight, crossed = whole[cycle, cycle], whole[cycle, to]
        gain = float((crossed - straight).mean())
        plain = bool((crossed >= TAKEN).all() and (straight <= KEPT).all())
        if not (plain or gain >= GAIN):
            continue
        p = _over_speakers(test, classes, cycle, to)
        if plain or (p is not None and p < LEVEL):
            confusion = [
                MistakenFor(true=classes[a], predicted=classes[b], share=float(whole[a, b]))
                for a, b in zip(cycle, to, strict=True)
            ]
            found.append(Suspect(classes=[classes[c] for c in cycle], gain=gain, p=p, confusion=confusion))
    return found


def _shares(rows: pd.DataFrame, classes: Sequence[str]) -> Shares:
    """Share of each true class that is predicted as each, `(K, K)`; NaN in the rows of classes that are absent."""
    counts = confusion(rows["true"].to_numpy(), rows["predicted"].to_numpy(), classes)
    with np.errstate(invalid="ignore"):
        return np.asarray(counts / counts.sum(1, keepdims=True))


def _cycles(partner: NDArray[np.int64]) -> list[list[int]]:
    """Cycles of a permutation, those of length one left out."""
    found, seen = [], set()
    for first in range(len(partner)):
        cycle, k = [], first
        while k not in seen:
            seen.add(k)
            cycle.append(k)
            k = int(partner[k])
        found += [cycle] if len(cycle) > 1 else []
    return found


def _over_speakers(test: pd.DataFrame, classes: Sequence[str], cycle: list[int], to: NDArray[np.int64]) -> float | None:
    """p of the gain over speakers who have at least one of the classes."""
    from scipy.stats import wilcoxon

    gains = []
    for speaker, rows in test.groupby("speaker"):
        own = _shares(rows, classes)
        each = own[cycle, to] - own[cycle, cycle]
        if speaker != "" and not np.isnan(each).all():
            gains.append(float(np.nanmean(each)))
    if len(gains) < 5 or not np.any(gains):
        return None
    pairs = len(classes) * (len(classes) - 1) // 2
    return min(1.0, pairs * float(wilcoxon(gains, alternative="greater").pvalue))
