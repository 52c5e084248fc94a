"""Classification metrics as pure functions, on scikit-learn, and the same metrics for whole stacks of confusion counts.

`C[i, j]` is how many utterances of true class i were predicted as class j. With TP_k = C[k, k], n_k = sum_j C[k, j]
(support), m_k = sum_i C[i, k] (predictions) and N = sum_k n_k:

    recall_k = TP_k / n_k      precision_k = TP_k / m_k      F1_k = 2 TP_k / (n_k + m_k)

Conventions where these are 0 / 0, all of them stated by the functions that use them: a class absent from the truth has no
recall and never enters UA; a class absent from truth and predictions has no F1 and never enters Macro_F1; a class that is
in the truth but never predicted has precision 0, as in scikit-learn.

Definitions: Schuller et al., "The INTERSPEECH 2009 Emotion Challenge" (UA, WA); Opitz & Burst, "Macro F1 and Macro F1"
(arXiv 1911.03347, the mean of F1 values).
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    recall_score,
)

from ser.results.records.names import METRICS

Labels: TypeAlias = Sequence[str] | Sequence[int] | NDArray[Any]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]


def encode(labels: Labels, classes: Sequence[str]) -> Ints:
    """Class names, or numbers of classes, as numbers of classes `(n,)`.

    Raises:
        ValueError: a name that is not among the classes, a number that is no class's, or a shape other than `(n,)`.

    >>> encode(["sadness", "anger"], ["anger", "sadness"])
    array([1, 0])
    """
    values = np.asarray(labels)
    if values.ndim != 1:
        raise ValueError(f"labels have shape {values.shape}; expected (n,)")
    if values.dtype.kind in "iu":
        numbers = values.astype(np.int64)
    else:
        place = {name: number for number, name in enumerate(classes)}
        numbers = np.array([place.get(str(value), -1) for value in values], dtype=np.int64)
    wrong = (numbers < 0) | (numbers >= len(classes))
    if wrong.any():
        raise ValueError(f"label {values[wrong.argmax()].item()!r} is not among the classes {', '.join(classes)}")
    return numbers


def _both(truth: Labels, predicted: Labels, classes: Sequence[str]) -> tuple[Ints, Ints]:
    t, p = encode(truth, classes), encode(predicted, classes)
    if len(t) != len(p):
        raise ValueError(f"{len(t)} true labels and {len(p)} predicted ones")
    if not len(t):
        raise ValueError("a metric of no utterances has no value")
    return t, p


def wa(truth: Labels, predicted: Labels, classes: Sequence[str]) -> float:
    """Weighted accuracy: the share of utterances that are right, sum_k TP_k / N. Range 0 to 1, chance: the commonest class.

    Raises:
        ValueError: no utterances, unequal lengths, or a label that is not among the classes.

    >>> wa(["anger", "anger", "anger", "sadness"], ["anger", "anger", "anger", "anger"], ["anger", "sadness"])
    0.75
    """
    t, p = _both(truth, predicted, classes)
    return float(accuracy_score(t, p))


def ua(truth: Labels, predicted: Labels, classes: Sequence[str]) -> float:
    """Unweighted average recall (UAR): the mean of recall_k over the classes that the truth has. Range 0 to 1.

    A class absent from the truth has no recall and is left out of the mean; it is not counted as 0.

    Raises:
        ValueError: no utterances, unequal lengths, or a label that is not among the classes.

    >>> ua(["anger", "anger", "anger", "sadness"], ["anger"] * 4, ["anger", "neutral", "sadness"])
    0.5
    """
    t, p = _both(truth, predicted, classes)
    return float(recall_score(t, p, labels=np.unique(t), average="macro", zero_division=0))


def wf1(truth: Labels, predicted: Labels, classes: Sequence[str]) -> float:
    """Weighted F1: sum_k (n_k / N) F1_k. Range 0 to 1. A class absent from the truth has weight 0.

    Raises:
        ValueError: no utterances, unequal lengths, or a label that is not among the classes.

    >>> round(wf1(["anger", "anger", "anger", "sadness"], ["anger"] * 4, ["anger", "sadness"]), 6)
    0.642857
    """
    t, p = _both(truth, predicted, classes)
    return float(f1_score(t, p, labels=np.unique(t), average="weighted", zero_division=0))


def macro_f1(truth: Labels, predicted: Labels, classes: Sequence[str]) -> float:
    """Macro F1: the mean of F1_k over the classes that are in the truth or in the predictions. Range 0 to 1.

    A class absent from the truth but predicted counts with F1 0; one absent from both is left out (scikit-learn's default).

    Raises:
        ValueError: no utterances, unequal lengths, or a label that is not among the classes.

    >>> round(macro_f1(["anger", "anger", "anger", "sadness"], ["anger"] * 4, ["anger", "sadness"]), 6)
    0.428571
    """
    t, p = _both(truth, predicted, classes)
    return float(f1_score(t, p, labels=np.union1d(t, p), average="macro", zero_division=0))


def scores(truth: Labels, predicted: Labels, classes: Sequence[str]) -> dict[str, float]:
    """All of `METRICS` by name.

    Raises:
        ValueError: no utterances, unequal lengths, or a label that is not among the classes.

    >>> scores([0, 0, 1, 1], [0, 1, 1, 1], ["anger", "sadness"])["UA"]
    0.75
    """
    functions = {"UA": ua, "WA": wa, "WF1": wf1, "Macro_F1": macro_f1}
    return {name: functions[name](truth, predicted, classes) for name in METRICS}


def confusion(truth: Labels, predicted: Labels, classes: Sequence[str]) -> Ints:
    """Confusion counts `(K, K)`: rows are true classes, columns predicted ones, in the order of the classes.

    Raises:
        ValueError: no utterances, unequal lengths, or a label that is not among the classes.

    >>> confusion(["sadness", "anger"], ["anger", "anger"], ["anger", "sadness"]).tolist()
    [[1, 0], [1, 0]]
    """
    t, p = _both(truth, predicted, classes)
    return np.asarray(confusion_matrix(t, p, labels=np.arange(len(classes))), dtype=np.int64)


def per_class(truth: Labels, predicted: Labels, classes: Sequence[str]) -> dict[str, dict[str, float | int | None]]:
    """Precision, recall, F1 and support of each class, by name.

    A class absent from the truth has recall None; one absent from truth and predictions has None for all three. A class in
    the truth that is never predicted has precision 0.

    Raises:
        ValueError: no utterances, unequal lengths, or a label that is not among the classes.

    >>> per_class(["anger", "anger"], ["anger", "sadness"], ["anger", "sadness", "fear"])["sadness"]
    {'precision': 0.0, 'recall': None, 'F1': 0.0, 'support': 0}
    """
    t, p = _both(truth, predicted, classes)
    values = precision_recall_fscore_support(t, p, labels=np.arange(len(classes)), zero_division=0)
    result: dict[str, dict[str, float | int | None]] = {}
    for k, name in enumerate(classes):
        precision, recall, f1, support = (column[k] for column in values)
        seen = support > 0 or bool((p == k).any())
        result[name] = {
            "precision": float(precision) if seen else None,
            "recall": float(recall) if support > 0 else None,
            "F1": float(f1) if seen else None,
            "support": int(support),
        }
    return result


def class_scores(counts: NDArray[Any]) -> dict[str, Floats]:
    """Precision, recall, F1 and support of stacks of confusion counts: `(..., K, K)` -> `(..., K)` each.

    The same conventions as `per_class`, with NaN where that says None.
    """
    right = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    support, found = counts.sum(-1).astype(np.float64), counts.sum(-2).astype(np.float64)
    seen = (support + found) > 0
    return {
        "precision": np.where(seen, right / np.maximum(found, 1), np.nan),
        "recall": np.where(support > 0, right / np.maximum(support, 1), np.nan),
        "F1": np.where(seen, 2 * right / np.maximum(support + found, 1), np.nan),
        "support": support,
    }


def scores_from_counts(counts: NDArray[Any]) -> dict[str, Floats]:
    """All of `METRICS` of stacks of confusion counts: `(..., K, K)` -> `(...)` each; NaN where there are no utterances.

    Equal to `scores` (a test holds it), thousands of matrices at once: what many runs, folds, speakers and bootstrap
    samples are computed with.

    >>> scores_from_counts(np.array([[[3, 0], [1, 0]], [[1, 0], [0, 1]]]))["UA"].tolist()
    [0.5, 1.0]
    """
    by_class = class_scores(counts)
    support = by_class["support"]
    total = support.sum(-1)
    some = total > 0
    right = np.trace(counts, axis1=-2, axis2=-1).astype(np.float64)
    weighted = (support * np.nan_to_num(by_class["F1"])).sum(-1)
    n = np.maximum(total, 1)
    return {
        "UA": _mean_of_defined(by_class["recall"]),
        "WA": np.where(some, right / n, np.nan),
        "WF1": np.where(some, weighted / n, np.nan),
        "Macro_F1": _mean_of_defined(by_class["F1"]),
    }


def _mean_of_defined(values: Floats) -> Floats:
    """Mean over the last axis of what is not NaN; NaN where nothing is left (without NumPy's warning)."""
    defined = ~np.isnan(values)
    number = defined.sum(-1)
    mean: Floats = np.where(number > 0, np.nansum(values, axis=-1) / np.maximum(number, 1), np.nan)
    return mean
