"""Clusters of the voices of a recording: which windows of speech are of one speaker.

As 3D-Speaker does with recordings of fewer than 40 windows (arXiv:2403.19971; `speakerlab/process/cluster.py`): average linkage
of the cosine distance, and small clusters dissolved into the nearest mean. Its limit of 0.4 is not taken, nor are the spectral
clusters that it makes of longer recordings: both make several speakers of one voice (`benchmarks/voices.py`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIMILARITY = 0.275  # cosine: less similar clusters are two speakers of `CAMPPLUS` (made calls of EmoDB)
LEAST = 4  # windows of a speaker, unless the number that was asked for would split another speaker
MOST = 4000  # windows, or groups of neighbours, that are clustered: 64 MB of distances
Vectors = NDArray[np.float64]


def clusters(vectors: Vectors, count: int | None) -> NDArray[np.int64]:
    """Clusters of vectors by average linkage of their cosine distances; each vector then goes to the nearest mean.

    Args:
        vectors: `(n, features)`, those of one channel in their order of time.
        count: of clusters; None: as many as are nowhere more similar than `SIMILARITY`, with `LEAST` vectors or more.

    Returns:
        The number of each one's cluster, `(n,)`.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist

    unit = _unit(vectors)
    if count == 1 or len(unit) == 1:
        return np.zeros(len(unit), dtype=np.int64)
    group = _groups(unit)
    # Half the squared distance of unit vectors is their cosine distance, and is none where a vector is 0.
    tree = linkage(pdist(_means(unit, group), "sqeuclidean") / 2, "average")
    if count is None:
        labels = fcluster(tree, 1 - SIMILARITY, "distance")[group]
        sizes = np.bincount(labels)
        kept = labels[sizes[labels] >= LEAST]
        means = _means(unit, labels, kept if len(kept) else sizes.argmax())
    else:
        means = _of_number(unit, group, tree, count)
    nearest: NDArray[np.int64] = (unit @ means.T).argmax(axis=1).astype(np.int64)
    return nearest


def most_alike(vectors: Vectors, labels: NDArray[np.int64]) -> tuple[int, int, float]:
    """The two clusters that are most alike, and the mean cosine of their vectors, as average linkage has it.

    Args:
        vectors: `(n, features)`.
        labels: of each its cluster, `(n,)`, of two or more.
    """
    unit, names = _unit(vectors), np.unique(labels)
    centres = np.stack([unit[labels == k].mean(axis=0) for k in names])
    cosines = np.where(np.triu(np.ones((len(names), len(names)), dtype=bool), 1), centres @ centres.T, -np.inf)
    one, other = np.unravel_index(cosines.argmax(), cosines.shape)
    return int(names[one]), int(names[other]), float(cosines[one, other])


def _of_number(unit: Vectors, group: NDArray[np.int64], tree: Vectors, count: int) -> Vectors:
    """The means of so many clusters.

    Few windows that are a cluster may be noise, or all that a speaker said. They are noise where the others are parted
    into `count` speakers less similar than `SIMILARITY`; otherwise one speaker would be split to lose another.
    """
    from scipy.cluster.hierarchy import fcluster

    first = fcluster(tree, count, "maxclust")[group]
    for cut in range(count, len(tree) + 2):
        labels = fcluster(tree, cut, "maxclust")[group]
        sizes = np.bincount(labels)
        if (sizes >= LEAST).sum() >= count:
            kept = np.argsort(-sizes, kind="stable")[:count]
            centres = np.stack([unit[labels == k].mean(axis=0) for k in kept])
            # The mean cosine of their windows, as of average linkage.
            if np.triu(centres @ centres.T, 1).max() < SIMILARITY:
                return _means(unit, labels, kept)
            break
    return _means(unit, first)


def _groups(unit: Vectors) -> NDArray[np.int64]:
    """The group of each vector: itself, or of many, alike neighbours in time (Ward's linkage), `MOST` groups in all.

    Neighbours are joined, not drawn, so that few windows of a speaker remain a group of their own.
    """
    count = len(unit)
    if count <= MOST:
        return np.arange(count)
    from scipy.sparse import diags
    from sklearn.cluster import AgglomerativeClustering

    beside = diags([1.0, 1.0], [-1, 1], shape=(count, count))
    found: NDArray[np.int64] = AgglomerativeClustering(MOST, connectivity=beside).fit_predict(unit)
    return found


def _means(unit: Vectors, labels: NDArray[np.integer[Any]], kept: Any = None) -> Vectors:
    """The means of clusters in the order of their labels, of length 1; those of all, or of some."""
    return _unit(np.stack([unit[labels == k].mean(axis=0) for k in np.unique(labels if kept is None else kept)]))


def _unit(vectors: Vectors) -> Vectors:
    found: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return found
