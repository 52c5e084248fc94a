"""Confusion matrix: counts and row percentages of the pooled test predictions."""

from typing import Any

import numpy as np

from ser.results.cells import many
from ser.results.plotting.style import INK, Figure, as_vector, title
from ser.results.records.numbers import matrix_of
from ser.results.stored_result import StoredResult

ORDER = 30
MOST = 3  # confusions that the words name


def fits(result: StoredResult) -> bool:
    return result.is_summary and not result.numbers.outputs


def draw(result: StoredResult, metric: str) -> Figure:
    """Draw the matrix; of a few-shot summary that of its largest amount of target data."""
    matrix = matrix_of(result.numbers)
    labels, counts = matrix.labels, np.array(matrix.counts)
    total = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(total, 1)
    size = max(2.6, 0.68 * len(labels))  # of the cells, in inches; beside them stand labels and the colour bar
    figure = Figure(figsize=(size + 2.5, size + 1.6), layout="constrained")
    axes = figure.add_subplot()
    edges = np.arange(len(labels) + 1) - 0.5
    image = axes.pcolormesh(edges, edges, share, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
    axes.set(aspect="equal", ylim=(len(labels) - 0.5, -0.5))
    for i in range(len(labels)):
        for j in range(len(labels)):
            cell = f"{100 * share[i, j]:.0f} %\n{counts[i, j]}" if total[i, 0] else "none"
            colour = "white" if share[i, j] > 0.55 else INK
            axes.text(j, i, cell, ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=28, ticks=[0, 0.5, 1])
    as_vector(bar)
    bar.ax.set_yticklabels(["0 %", "50 %", "100 %"])
    bar.set_label("share of the true class")
    at = f", at {result.amount} of the target's data" if result.amount else ""
    ua = result.numbers.pooled.main.mean
    title(figure, result.record, f"UA {ua:.3f}, counts over {many(matrix.runs or 1, 'run')}{at}")
    return figure


def words(result: StoredResult, metric: str) -> str:
    matrix = matrix_of(result.numbers)
    labels, counts = matrix.labels, np.array(matrix.counts, dtype=np.float64)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = ", ".join(f"{name} {100 * share[k, k]:.0f} %" for k, name in enumerate(labels) if counts[k].sum())
    wrong = _most_confused(share, labels)
    return f"Right: {right}. Most often confused: {wrong}." if wrong else f"Right: {right}."


def _most_confused(share: "np.ndarray[Any, Any]", labels: list[str]) -> str:
    off = share - np.diag(np.diag(share))
    pairs = sorted(((off[i, j], i, j) for i, j in np.argwhere(off > 0)), reverse=True)[:MOST]
    return ", ".join(f"{labels[i]} taken for {labels[j]} ({100 * value:.0f} %)" for value, i, j in pairs)
