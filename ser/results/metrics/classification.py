"""Recall, UA, WA and F1: each defined once, on counts, for single results and for stacks of thousands.

`C[i, j]` is the number of utterances of true class i that were predicted as class j. With TP_k = C[k, k], n_k = sum_j C[k, j]
(support), m_k = sum_i C[i, k] (predictions) and N = sum_k n_k:

    recall_k = TP_k / n_k      precision_k = TP_k / m_k      F1_k = 2 TP_k / (n_k + m_k)

Conventions where these are 0 / 0, all of them stated by the functions that use them: a class absent from the truth has no
recall and never enters UA; a class absent from truth and predictions has no F1 and never enters Macro_F1; a class that is
in the truth but never predicted has precision 0. The values are those of scikit-learn (the tests compare them).

Definitions: Schuller et al., "The INTERSPEECH 2009 Emotion Challenge" (UA, WA); Opitz & Burst, "Macro F1 and Macro F1"
(arXiv 1911.03347, the mean of F1 values).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ser.results.records.names import METRICS

if TYPE_CHECKING:
    from torch import Tensor

Labels: TypeAlias = Sequence[str] | Sequence[int] | NDArray[Any]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Counts = TypeVar("Counts", NDArray[Any], "Tensor")


def class_numbers(labels: Labels, classes: Sequence[str]) -> Ints:
    """Class names, or numbers of classes, as numbers of classes `(n,)`.

    Raises:
        ValueError: a name that is not among the classes, a number that no class has, or a shape other than `(n,)`.

    >>> class_numbers(["sadness", "anger"], ["anger", "sadness"])
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


def recall(hits: Counts, support: Counts) -> Counts:
    """TP_k / n_k of each class, `(..., K)`; 0 for a class without utterances.

    Args:
        hits: utterances of each class that are right, or how often they are right over several runs, `(..., K)`.
        support: utterances of each class, of the same shape or one that broadcasts to it.
    """
    found: Counts = hits / (support + (support == 0))
    return found


def f1(hits: Counts, either: Counts) -> Counts:
    """2 TP_k / (n_k + m_k) of each class, `(..., K)`; 0 for a class in neither truth nor predictions.

    Args:
        hits: TP_k, `(..., K)`, arrays of NumPy or tensors of torch.
        either: n_k + m_k, of the same shape.
    """
    found: Counts = 2 * hits / (either + (either == 0))
    return found


def ua(hits: Counts, support: Counts) -> Counts:
    """Unweighted average recall (UAR), `(..., K)` -> `(...)`: the mean of recall_k over the classes that the truth has.

    A class absent from the truth has no recall and is left out of the mean; it is not counted as 0. Where there are no
    utterances at all the value is NaN. Range 0 to 1. Arguments as `recall`, arrays of NumPy or tensors of torch.

    >>> float(ua(np.array([3, 0, 0]), np.array([3, 0, 1])))
    0.5
    """
    with np.errstate(invalid="ignore"):
        mean: Counts = recall(hits, support).sum(-1) / (support > 0).sum(-1)
    return mean


def wa(hits: Counts, support: Counts) -> Counts:
    """Weighted accuracy, `(..., K)` -> `(...)`: the share of utterances that are right, sum_k TP_k / N.

    Where there are no utterances the value is NaN. Range 0 to 1, chance: the commonest class. Arguments as `recall`.

    >>> float(wa(np.array([3, 0]), np.array([3, 1])))
    0.75
    """
    with np.errstate(invalid="ignore"):
        share: Counts = hits.sum(-1) / support.sum(-1)
    return share


def scores(truth: Labels, predicted: Labels, classes: Sequence[str]) -> dict[str, float]:
    """All of `METRICS` by name, see `scores_from_counts`.

    Raises:
        ValueError: no utterances, unequal lengths, or a label that is not among the classes.

    >>> scores([0, 0, 1, 1], [0, 1, 1, 1], ["anger", "sadness"])["UA"]
    0.75
    """
    return {name: float(value) for name, value in scores_from_counts(confusion(truth, predicted, classes)).items()}


def confusion(truth: Labels, predicted: Labels, classes: Sequence[str]) -> Ints:
    """Confusion counts `(K, K)`: rows are true classes, columns predicted ones, in the order of the classes.

    Raises:
        ValueError: no utterances, unequal lengths, or a label that is not among the classes.

    >>> confusion(["sadness", "anger"], ["anger", "anger"], ["anger", "sadness"]).tolist()
    [[1, 0], [1, 0]]
    """
    t, p = class_numbers(truth, classes), class_numbers(predicted, classes)
    if len(t) != len(p):
        raise ValueError(f"{len(t)} true labels and {len(p)} predicted ones")
    if not len(t):
        raise ValueError("a metric of no utterances has no value")
    k = len(classes)
    return np.bincount(t * k + p, minlength=k * k).reshape(k, k).astype(np.int64)


def class_scores(counts: NDArray[Any]) -> dict[str, Floats]:
    """Precision, recall, F1 and support of stacks of confusion counts: `(..., K, K)` -> `(..., K)` each.

    A class absent from the truth has recall NaN; one absent from truth and predictions has NaN for all three. A class in
    the truth that is never predicted has precision 0.
    """
    hits, support, found = _margins(counts)
    seen = (support + found) > 0
    return {
        "precision": np.where(seen, hits / np.maximum(found, 1), np.nan),
        "recall": np.where(support > 0, recall(hits, support), np.nan),
        "F1": np.where(seen, f1(hits, support + found), np.nan),
        "support": support,
    }


def scores_from_counts(counts: NDArray[Any]) -> dict[str, Floats]:
    """All of `METRICS` of stacks of confusion counts: `(..., K, K)` -> `(...)` each; NaN where there are no utterances.

    - `UA`, `WA`: see `ua` and `wa`.
    - `WF1`: weighted F1, sum_k (n_k / N) F1_k. A class absent from the truth has weight 0.
    - `Macro_F1`: the mean of F1_k over the classes that are in the truth or in the predictions. A class absent from the
      truth but predicted counts with F1 0; one absent from both is left out (the default of scikit-learn).

    >>> scores_from_counts(np.array([[[3, 0], [1, 0]], [[1, 0], [0, 1]]]))["UA"].tolist()
    [0.5, 1.0]
    """
    margins = _margins(counts)
    return {name: _score(*margins, name) for name in METRICS}


def score_from_counts(counts: NDArray[Any], metric: str) -> Floats:
    """One of `METRICS` of stacks of confusion counts, see `scores_from_counts`: `(..., K, K)` -> `(...)`."""
    return _score(*_margins(counts), metric)


def _score(hits: Floats, support: Floats, found: Floats, metric: str) -> Floats:
    """One of `METRICS` of what `_margins` gives: `(..., K)` each -> `(...)`."""
    if metric in ("UA", "WA"):
        return np.asarray((ua if metric == "UA" else wa)(hits, support))
    each = f1(hits, support + found)
    with np.errstate(invalid="ignore"):
        if metric == "WF1":
            return np.asarray((support * each).sum(-1) / support.sum(-1))
        return np.asarray(each.sum(-1) / ((support + found) > 0).sum(-1))


def _margins(counts: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """TP_k, n_k and m_k of stacks of confusion counts: `(..., K, K)` -> `(..., K)` each."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    if counts.dtype.kind in "iu":  # exact in any order; of many small matrices einsum is three times as fast as sum
        return hits, *(np.einsum(f"...ij->...{kept}", counts).astype(np.float64) for kept in "ij")
    return hits, counts.sum(-1).astype(np.float64), counts.sum(-2).astype(np.float64)
