"""Predictions beside the annotators' votes, and the agreement of people: a ceiling for accuracy against the corpus's label.

Votes are shares of annotators by emotion. Where they are of all annotators (they sum to 1) they are carried over to the
classes, what falls on none of them is left out, and the rest sums to 1 again: a distribution q. Where a corpus keeps the share
of its own label only (EmoDB: listeners who recognised it), what the others heard is not known: both distributions are then of
two outcomes, that class and anything else. No number is invented for the others; divergences of two outcomes are no larger
than those of all would be (data processing inequality).

- cross-entropy, mean of -sum q log p in nats. The least that any p can have is the entropy of the votes, given beside it.
- JS: Jensen-Shannon divergence to the base 2 (Lin, IEEE Transactions on Information Theory 1991); range 0 to 1.
- TVD: total variation distance, half of sum |p - q|; range 0 to 1.

One annotator, drawn at random, names the label of an utterance with the probability that votes give it: the mean is people's
expected accuracy (`human`). Of EmoDB and CREMA-D, whose label is what the speaker was asked to act, this is the recognition
rate that the corpora's papers report. Where the label is the majority of these very votes (IEMOCAP), the annotator has helped
to make it, and the figure is too high for a newcomer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.special import xlogy

from ser.audit.agreement import vote_counts
from ser.metadata.targets.votes import COMPLETE, shares_of
from ser.results.metrics.calibration import FLOOR
from ser.results.metrics.classification import ua

Floats = NDArray[np.float64]
SCORES = ("cross_entropy", "JS", "TVD")


@dataclass(frozen=True, eq=False)
class Votes:
    """Votes of m utterances over the classes.

    Attributes:
        ids: utterance ids.
        shares: shares by class as the table has them, `(m, K)`; what falls on no class is missing from the sum.
        complete: true where the table's shares are of all annotators, `(m,)`.
    """

    ids: list[str]
    shares: Floats
    complete: NDArray[np.bool_]


def class_votes(frame: pd.DataFrame, mapping: Mapping[str, str], classes: Sequence[str]) -> Votes:
    """The votes of a table's rows, those of an emotion counted for its class. Rows without a vote for a class are left out.

    Args:
        frame: with columns `utterance_id` and `votes`.
        mapping: emotion -> class, of the label scheme.
    """
    rows = frame[frame["votes"] != ""]
    shares, total = shares_of(rows, mapping, classes)
    some = shares.sum(axis=1) > 0
    ids = rows["utterance_id"].to_numpy()[some].tolist()
    return Votes(ids, shares[some], (np.abs(total - 1) < COMPLETE)[some])


def distances(probabilities: Floats, shares: Floats, complete: NDArray[np.bool_]) -> dict[str, float]:
    """`SCORES`, and `entropy`: the least cross-entropy there can be; means over utterances.

    Args:
        probabilities, shares: `(n, K)`.
        complete: `(n,)`; of the others the votes are of one class.
    """
    p, q = (np.array(x, dtype=np.float64) for x in (probabilities, shares))
    q[complete] /= q[complete].sum(axis=1, keepdims=True)
    label, rows = q.argmax(axis=1), np.flatnonzero(~complete)
    for x in (p, q):  # of two outcomes: that class, and all else in the next
        own = x[rows, label[rows]]
        x[rows] = 0
        x[rows, label[rows]] = own
        x[rows, (label[rows] + 1) % x.shape[1]] = 1 - own
    return {
        "cross_entropy": float(-xlogy(q, np.maximum(p, FLOOR)).sum(axis=1).mean()),
        "JS": float((np.nan_to_num(jensenshannon(p, q, base=2, axis=1)) ** 2).mean()),
        "TVD": float(np.abs(p - q).sum(axis=1).mean() / 2),
        "entropy": float(-xlogy(q, q).sum(axis=1).mean()),
    }


def human(shares: Floats, labels: NDArray[np.int64]) -> dict[str, float]:
    """Expected accuracy of one annotator against the label: `WA` over utterances, `UA` the mean over classes of that.

    An annotator who heard none of the classes is wrong.
    """
    right = shares[np.arange(len(labels)), labels]
    own = [right[labels == k] for k in np.unique(labels)]
    hits, support = (np.array([f(r) for r in own], dtype=np.float64) for f in (np.sum, len))
    return {"WA": float(right.mean()), "UA": float(ua(hits, support))}


def pairwise(shares: Floats, predicted: NDArray[np.int64]) -> dict[str, float] | None:
    """The share of cases in which the head names what an annotator heard, and in which two annotators name the same.

    Annotators who heard none of the classes are left out of both, as the head cannot name what they heard. The shares are means
    over the utterances for whose classes there are two votes or more; the numbers of votes are inferred from the shares
    (`ser.audit.agreement.vote_counts`). None without such utterances.

    Args:
        shares: as the table has them, of utterances with the votes of all annotators, `(n, K)`.
        predicted: the head's answers, `(n,)`.
    """
    counts = vote_counts(shares).astype(np.float64)
    total = counts.sum(axis=1)
    use = total >= 2
    if not use.any():
        return None
    counts, total = counts[use], total[use]
    same = (counts * (counts - 1)).sum(axis=1) / (total * (total - 1))
    of_classes = shares[use] / shares[use].sum(axis=1, keepdims=True)
    head = of_classes[np.arange(len(of_classes)), predicted[use]]
    return {"head": float(head.mean()), "annotators": float(same.mean())}
