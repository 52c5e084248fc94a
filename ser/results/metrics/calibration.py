"""Calibration: measures of whether a probability of 0.8 comes true in 80 of 100 cases, and one temperature that makes it so.

All functions are pure and take probabilities `(n, K)` and class numbers `(n,)`. Logits are recovered from stored
probabilities as their logarithms: they differ from the head's by one number per utterance, which the softmax removes.

- Temperature: softmax(z / T), T > 0 (Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017). It
  changes no prediction. T minimises the negative log-likelihood, which is convex in 1 / T.
- ECE: mean gap between confidence (the largest probability) and accuracy, over bins (Naeini, Cooper, Hauskrecht: AAAI 2015).
  Bins hold equally many utterances, not equal widths: with those most utterances fall into the last (Nixon et al.: Measuring
  Calibration in Deep Learning, CVPR workshops 2019; Nguyen & O'Connor, EMNLP 2015). Utterances of equal confidence are in no
  order: each counts as right as they are on average.
- Brier: Brier, Monthly Weather Review 1950, the sum over classes: 0 to 2.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS = 15  # as Guo et al.
LOWEST, HIGHEST = 0.05, 20.0  # temperature; beyond these, probabilities are one-hot or uniform
FLOOR = float(np.finfo(np.float32).tiny)  # records keep probabilities in float32, in which anything below is 0
SCORES = ("NLL", "Brier", "ECE")
CHANCE = "ECE_by_chance"


def logits_of(probabilities: Floats) -> Floats:
    """Logarithms of probabilities `(n, K)`; a 0 counts as the smallest normal number of float32.

    >>> np.exp(logits_of(np.array([[0.25, 0.75]]))).tolist()
    [[0.25, 0.75]]
    """
    return np.asarray(np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), FLOOR)))


def fit_temperature(logits: Floats, truth: Ints | Floats) -> float:
    """The temperature that minimises the cross-entropy with labels or with shares of votes, from `LOWEST` to `HIGHEST`.

    With b = 1 / T and q the shares (of a label, 1 for its class), the cross-entropy is mean(log sum_k exp(b z_k) - b sum_k q_k
    z_k). Its derivative, mean(sum_k (p_k - q_k) z_k), rises with b (its own is the variance of z under p): its root is the
    minimum, and there is one at most.

    Args:
        logits: `(n, K)`, up to one number per utterance.
        truth: labels `(n,)`, or shares `(n, K)` that sum to 1.

    Raises:
        ValueError: no utterances.

    >>> z = np.log([[0.9, 0.1]] * 10)  # says 90 %, right in 7 of 10
    >>> p = softmax(z / fit_temperature(z, np.array([0] * 7 + [1] * 3)), axis=1)
    >>> round(float(p[0, 0]), 6)
    0.7
    """
    if not len(truth):
        raise ValueError("a temperature is fitted on utterances, and there are none")
    z = np.asarray(logits, dtype=np.float64)
    z = z - z.max(axis=1, keepdims=True)
    true = z[np.arange(len(truth)), truth] if truth.ndim == 1 else (truth * z).sum(axis=1)

    def slope(log_b: float) -> float:
        b = float(np.exp(log_b))
        return float(((softmax(z * b, axis=1) * z).sum(axis=1) - true).mean())

    low, high = -float(np.log(HIGHEST)), -float(np.log(LOWEST))
    if slope(low) >= 0:
        return HIGHEST
    if slope(high) <= 0:
        return LOWEST
    return float(np.exp(-brentq(slope, low, high, xtol=1e-10)))


def is_bound(temperature: float) -> bool:
    """True for a temperature at an end of the range: no inner minimum was found."""
    return temperature in (LOWEST, HIGHEST)


def scaled(probabilities: Floats, temperature: float | Floats) -> Floats:
    """Probabilities under a temperature, `(n, K)`; one for all, or `(n,)`.

    >>> scaled(np.array([[0.2, 0.8]]), 1.0).round(6).tolist()
    [[0.2, 0.8]]
    """
    return np.asarray(softmax(logits_of(probabilities) / np.reshape(temperature, (-1, 1)), axis=1))


def nll(probabilities: Floats, labels: Ints) -> float:
    """Negative log-likelihood, mean of -log p_y in nats; range 0 up. Uniform probabilities have log K."""
    logp = log_softmax(logits_of(probabilities), axis=1)
    return float(-logp[np.arange(len(labels)), labels].mean())


def brier(probabilities: Floats, labels: Ints) -> float:
    """Brier score, mean over utterances of sum_k (p_k - [y = k])^2; range 0 to 2.

    >>> brier(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
    1.0
    """
    aim = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - aim) ** 2).sum(axis=1).mean())


def mean_of_ties(predicted: Floats, true: Floats) -> Floats:
    """The truth of each utterance; of those with equal predictions their mean, so that no order among them counts, `(n,)`.

    >>> mean_of_ties(np.array([0.9, 0.8, 0.8]), np.array([1.0, 1.0, 0.0])).tolist()
    [1.0, 0.5, 0.5]
    """
    _, group, number = np.unique(predicted, return_inverse=True, return_counts=True)
    return np.asarray((np.bincount(group, true) / number)[group])


def binned(predicted: Floats, true: Floats, bins: int) -> Floats:
    """Utterances in the order of the prediction, in bins of equally many (they differ by one at most); ties as `mean_of_ties`.

    Returns:
        The mean prediction, the mean truth and the number of each bin, `(3, min(bins, n))`.
    """
    parts = np.array_split(np.argsort(predicted, kind="stable"), min(bins, len(predicted)))
    means = [[values[p].mean() for p in parts] for values in (predicted, mean_of_ties(predicted, true))]
    return np.array([*means, [float(len(p)) for p in parts]])


def binned_gap(predicted: Floats, true: Floats, n: Floats) -> float:
    """The mean distance between prediction and truth of bins, each weighted by its utterances, of what `binned` gives."""
    return float((n * np.abs(predicted - true)).sum() / n.sum())


def reliability(probabilities: Floats, labels: Ints, bins: int = BINS) -> dict[str, Floats]:
    """The reliability curve: `binned` by confidence.

    Returns:
        `confidence`, `accuracy`: means of each bin, and `n`; `(min(bins, n),)` each.
    """
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    return dict(zip(("confidence", "accuracy", "n"), binned(confidence, right, bins), strict=True))


def ece(probabilities: Floats, labels: Ints, bins: int = BINS) -> float:
    """Expected calibration error over bins of equally many utterances; range 0 to 1.

    A perfectly calibrated head has more than 0, see `chance_ece`: compare with that, and heads on the same utterances.

    >>> ece(np.array([[0.8, 0.2]] * 10), np.array([0] * 8 + [1] * 2), bins=1) < 1e-12
    True
    """
    return binned_gap(*reliability(probabilities, labels, bins).values())


def chance_ece(probabilities: Floats) -> float:
    """The expected ECE of a perfectly calibrated head with these confidences: above 0, as utterances are few.

    Each answer is then right with the probability c that it says; the gap of a bin of m is about normal with the variance
    sum c (1 - c) / m^2, and its mean is the root of that times sqrt(2 / pi). Of t answers with equal confidence each counts as
    their mean (`mean_of_ties`): those b of them that are in the bin add b c (1 - c) b / t to the sum.
    """
    confidence = np.sort(probabilities.max(axis=1))
    _, group, number = np.unique(confidence, return_inverse=True, return_counts=True)
    spread = 0.0
    for part in np.array_split(np.arange(len(confidence)), min(BINS, len(confidence))):
        c, ties = confidence[part], group[part]
        share = np.bincount(ties - ties[0])[ties - ties[0]] / number[ties]
        spread += float(np.sqrt((c * (1 - c) * share).sum()))
    return float(np.sqrt(2 / np.pi) * spread / len(confidence))


def probability_scores(probabilities: Floats, labels: Ints) -> dict[str, float]:
    """All of `SCORES`, and `CHANCE`."""
    return {
        "NLL": nll(probabilities, labels),
        "Brier": brier(probabilities, labels),
        "ECE": ece(probabilities, labels),
        CHANCE: chance_ece(probabilities),
    }
