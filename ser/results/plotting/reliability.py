"""Reliability diagram of stored probabilities: how often the predicted class is right, against how sure the head was of it."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ser.results.metrics.calibration import chance_ece, ece, reliability
from ser.results.metrics.classification import encode
from ser.results.plotting.style import PALETTE
from ser.results.statistics.intervals import describe


def of_predictions(test: pd.DataFrame) -> dict[str, Any]:
    """`reliability` of all test predictions together; over runs `ECE`, `ECE_by_chance` (that of a perfectly
    calibrated head with these confidences), and `gap`: confidence minus accuracy.

    Args:
        test: rows of any number of runs, with a column `p_<class>` a class.
    """
    columns = [c for c in test.columns if c.startswith("p_")]
    shares = test[columns].to_numpy(dtype=np.float64)
    labels = encode(test["true"].to_numpy(), [c[2:] for c in columns])
    run = test["run"].to_numpy()
    own = [run == k for k in np.unique(run)]
    gaps = shares.max(axis=1) - (shares.argmax(axis=1) == labels)
    return {
        **{name: values.tolist() for name, values in reliability(shares, labels).items()},
        "ECE": describe([ece(shares[rows], labels[rows]) for rows in own]),
        "ECE_by_chance": describe([chance_ece(shares[rows]) for rows in own]),
        "gap": describe([float(gaps[rows].mean()) for rows in own]),
    }


def diagram(found: dict[str, Any]) -> Figure:
    """Reliability diagram: accuracy over confidence, a point a bin, beside the line of perfect calibration."""
    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    _panel(figure.add_subplot(), found)
    return figure


def diagrams(found: dict[str, dict[str, Any]]) -> Figure:
    """Diagrams beside each other, in the same axes.

    Args:
        found: heading -> curve (`confidence`, `accuracy`), from left to right.
    """
    figure = Figure(figsize=(4.2 * len(found), 4.7), layout="constrained")
    for place, (heading, curve) in enumerate(found.items(), 1):
        axes = figure.add_subplot(1, len(found), place)
        _panel(axes, curve)
        axes.set_title(heading, fontsize=10)
    return figure


def _panel(axes: Axes, found: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, label="perfectly calibrated")
    sure, accuracy = np.array(found["confidence"]), np.array(found["accuracy"])
    axes.vlines(
        sure, np.minimum(sure, accuracy), np.maximum(sure, accuracy), color=PALETTE[1], linewidth=2, label="gap"
    )
    axes.plot(sure, accuracy, "o-", color=PALETTE[0], linewidth=1.2, markersize=5, label="head")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("confidence: probability of the predicted class")
    axes.set_ylabel("accuracy: share of predictions that are right")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="upper left")
