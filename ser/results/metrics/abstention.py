"""Selective prediction: the head may abstain where it is not sure. Risk against coverage, and thresholds from validation.

Coverage is the share of utterances that are answered, risk the share of wrong answers among them (El-Yaniv & Wiener, JMLR
2010). Confidence is the largest probability. AURC is the mean of the risk over all coverages 1/n ... n/n, E-AURC the part of
it that a perfect order of the same answers would not have (Geifman, Uziel, El-Yaniv, ICLR 2019).
"""

import numpy as np
from numpy.typing import NDArray

from ser.results.metrics.calibration import mean_of_ties

Floats = NDArray[np.float64]

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
RISKS = (0.05, 0.1, 0.2, 0.3)


def risk_curve(confidence: Floats, right: NDArray[np.bool_]) -> Floats:
    """Risk when the i most confident utterances are answered, i = 1 ... n: `(n,)`.

    Utterances of equal confidence are in no order: each counts as wrong as they are on average, which is the expectation
    over all orders.

    >>> risk_curve(np.array([0.9, 0.8, 0.7]), np.array([True, False, True])).round(3).tolist()
    [0.0, 0.5, 0.333]
    """
    order = np.argsort(-confidence, kind="stable")
    wrong = mean_of_ties(confidence, (~right).astype(np.float64))[order]
    return np.asarray(np.cumsum(wrong) / np.arange(1, len(wrong) + 1))


def aurc(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Area under the risk-coverage curve; range 0 to 1, lower is better. Meaningless confidence has the error rate."""
    return float(risk_curve(confidence, right).mean())


def excess_aurc(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """AURC minus that of an order with all right answers first; 0 for such an order."""
    return aurc(confidence, right) - aurc(right.astype(np.float64), right)


def accuracy_at(confidence: Floats, right: NDArray[np.bool_], coverage: float) -> float:
    """Accuracy on the most confident share of the utterances, rounded up to whole ones."""
    curve = risk_curve(confidence, right)
    answered = max(1, int(np.ceil(coverage * len(curve) - 1e-9)))
    return float(1 - curve[answered - 1])


def threshold(confidence: Floats, right: NDArray[np.bool_], risk: float) -> float:
    """The confidence from which the head answers, so that it answers as many as possible at no more than this risk.

    Infinity where even the most confident are wrong more often. Utterances of equal confidence are answered together.

    >>> threshold(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True]), 0.25)
    0.6
    >>> threshold(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, False]), 0.25)
    0.8
    """
    levels, group = np.unique(-confidence, return_inverse=True)
    number = np.cumsum(np.bincount(group))
    wrong = np.cumsum(np.bincount(group, (~right).astype(np.float64)))
    allowed = np.flatnonzero(wrong / number <= risk + 1e-12)
    return float(-levels[allowed[-1]]) if len(allowed) else float("inf")


def coverage_at(confidence: Floats, right: NDArray[np.bool_], risk: float) -> float:
    """The largest coverage whose risk is no more than this, in hindsight: the threshold is taken from the same utterances."""
    return float((confidence >= threshold(confidence, right, risk)).mean())
