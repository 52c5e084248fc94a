"""Novelty: scores that are higher for utterances of a kind that the head was not trained on.

- `energy`: -log sum_k exp(z_k), the energy at temperature 1 (Liu, Wang, Owens, Li: Energy-based Out-of-distribution
  Detection, NeurIPS 2020).
- `max_softmax`: minus the largest probability (Hendrycks & Gimpel: A Baseline for Detecting Misclassified and
  Out-of-Distribution Examples, ICLR 2017).
- `mahalanobis`: the squared distance to the nearest class mean of the training embeddings under one covariance of all classes
  (Lee, Lee, Lee, Shin, NeurIPS 2018). The covariance is shrunk (Ledoit & Wolf 2004), as embeddings have more dimensions here
  than a corpus has utterances; the paper's other layers and its input perturbation are left out.
- `knn`: the distance to the K-th nearest training embedding, all of length 1 (Sun, Ming, Zhu, Li: Out-of-Distribution
  Detection with Deep Nearest Neighbors, ICML 2022).

The last two learn from the training part of the head alone. Nothing here is chosen on the utterances that are told apart.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

Floats = NDArray[np.float64]

SCORES = ("energy", "max_softmax", "mahalanobis", "knn")
NEIGHBOUR = 10
ACCEPTED = 0.95  # of the known utterances


def energy(logits: Floats) -> Floats:
    """`(..., n, K)` -> `(n,)`: the mean over the parts of a head that has several (snapshots).

    >>> energy(np.log([[1.0, 3.0]])).round(6).tolist()
    [-1.386294]
    """
    found = -np.asarray(logsumexp(logits, axis=-1))
    return np.asarray(found.reshape(-1, found.shape[-1]).mean(axis=0))


def max_softmax(probabilities: Floats) -> Floats:
    """`(n, K)` -> `(n,)`."""
    return np.asarray(-probabilities.max(axis=1))


class Mahalanobis:
    """Class means and one covariance of training embeddings `(m, E)` with labels `(m,)`."""

    def __init__(self, embeddings: Floats, labels: NDArray[np.int64]) -> None:
        classes, number = np.unique(labels, return_inverse=True)
        self.means = np.stack([embeddings[number == k].mean(axis=0) for k in range(len(classes))])
        shape = LedoitWolf(assume_centered=True).fit(embeddings - self.means[number])
        self.precision = shape.get_precision()

    def __call__(self, embeddings: Floats) -> Floats:
        """`(n, E)` -> `(n,)`."""
        away = embeddings[:, None] - self.means
        return np.asarray(np.einsum("nke,ef,nkf->nk", away, self.precision, away, optimize=True).min(axis=1))


class Neighbours:
    """Training embeddings `(m, E)`, brought to length 1, and the distance to the k-th nearest of them, k from 1 to m."""

    def __init__(self, embeddings: Floats, k: int = NEIGHBOUR) -> None:
        self.search = NearestNeighbors(n_neighbors=min(k, len(embeddings))).fit(_unit(embeddings))

    def __call__(self, embeddings: Floats) -> Floats:
        """`(n, E)` -> `(n,)`."""
        distances, _ = self.search.kneighbors(_unit(embeddings))
        return np.asarray(distances[:, -1], dtype=np.float64)


def _unit(x: Floats) -> Floats:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))


def auroc(known: Floats, novel: Floats) -> float:
    """The chance that a novel utterance scores higher than a known one, ties counting half. 0.5 is chance, 1 perfect.

    >>> auroc(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.875
    """
    truth = np.repeat([0, 1], [len(known), len(novel)])
    return float(roc_auc_score(truth, np.concatenate([known, novel])))


def fpr95(known: Floats, novel: Floats) -> float:
    """The share of novel utterances that are taken for known at the threshold that accepts 95 % of the known ones.

    The threshold is the smallest score of a known utterance that accepts at least so many. Range 0 to 1, lower is better.

    >>> fpr95(np.arange(100.0), np.array([50.0, 94.0, 95.0, 200.0]))
    0.5
    """
    limit = np.sort(known)[int(np.ceil(ACCEPTED * len(known) - 1e-9)) - 1]
    return float((novel <= limit).mean())
