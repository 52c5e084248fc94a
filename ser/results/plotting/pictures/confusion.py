"""Confusion matrix: counts and row percentages of the pooled test predictions."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ser.results.plotting.style import confusion_matrix
from ser.results.records.result import Source

ORDER = 30
MOST = 3  # confusions that are told in words


def fits(source: Source) -> bool:
    return source.is_summary


def draw(source: Source, metric: str) -> Figure:
    return confusion_matrix(source.result)


def words(source: Source, metric: str) -> str:
    matrix = source.part["confusion_matrix"]
    labels, counts = matrix["labels"], np.array(matrix["counts"], dtype=np.float64)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = ", ".join(f"{name} {100 * share[k, k]:.0f} %" for k, name in enumerate(labels) if counts[k].sum())
    wrong = _wrong(share, labels)
    return f"Right: {right}. Most often confused: {wrong}." if wrong else f"Right: {right}."


def _wrong(share: "np.ndarray[Any, Any]", labels: list[str]) -> str:
    off = share - np.diag(np.diag(share))
    pairs = sorted(((off[i, j], i, j) for i, j in np.argwhere(off > 0)), reverse=True)[:MOST]
    return ", ".join(f"{labels[i]} taken for {labels[j]} ({100 * value:.0f} %)" for value, i, j in pairs)
