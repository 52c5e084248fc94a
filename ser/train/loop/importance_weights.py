"""Risk on a target corpus estimated from a labelled source: importance weights, and the risks that are computed with them.

Pure functions on arrays. The weight of a source utterance is the density ratio target / source at its features; weighted by
it, a mean over source utterances is one over the target, if labels depend on features in both corpora alike (covariate shift).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST = 2000  # utterances of a corpus that a ratio is estimated from
STRENGTH = 1.0  # of the logistic regression, scikit-learn's C, for features of a mean square of 1


def thinned(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most 2,000 of some rows, evenly spaced."""
    return rows[:: max(1, -(-len(rows) // MOST))]


def density_ratio(source: Array, target: Array, at: Array) -> Array:
    """p_target / p_source at some points, by logistic regression that tells the corpora apart.

    The ratio is n_s / n_t times the odds of target (Bickel et al., JMLR 2009, section 4). Features are standardised and divided
    by sqrt(D), so that the same L2 penalty means the same at any width; without one, corpora that can be told apart without an
    error would give weights of 0 and infinity.

    Args:
        source, target, at: `(n, D)`, `(m, D)`, `(k, D)`.

    Returns:
        `(k,)`.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    both = np.concatenate([source, target])
    mean, deviation = both.mean(0), both.std(0)
    scale = np.where(deviation > 0, deviation, 1) * np.sqrt(both.shape[1])
    with threadpool_limits(1):
        model = LogisticRegression(C=STRENGTH, max_iter=1000)
        model.fit((both - mean) / scale, np.repeat([0, 1], [len(source), len(target)]))
        odds = np.exp(model.decision_function((at - mean) / scale))
    return np.asarray(odds * len(source) / len(target))


def weighted_risk(weights: Array, losses: Array) -> float:
    """Mean of w L: importance-weighted validation (Sugiyama et al., JMLR 2007, equation 6)."""
    return float((weights * losses).mean())


def controlled_risk(weights: Array, losses: Array) -> float:
    """Deep embedded validation (You et al., ICML 2019): the weighted risk with the weights as a control variate.

    mean(w L) + eta mean(w) - eta, eta = -cov(w L, w) / var(w): as the mean of w is 1, this is the same in expectation, with the
    smallest variance among such sums. Equal weights leave the weighted risk as it is.
    """
    products = weights * losses
    variance = weights.var()
    if variance == 0:
        return float(products.mean())
    eta = -((products - products.mean()) * (weights - weights.mean())).mean() / variance
    return float(products.mean() + eta * weights.mean() - eta)


def effective(weights: Array) -> float:
    """How many equally weighted utterances the weights are worth, (sum w)^2 / sum w^2 (Kish 1965)."""
    return float(weights.sum() ** 2 / np.square(weights).sum())
