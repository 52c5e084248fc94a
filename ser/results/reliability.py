"""Reliability of the stored probabilities: how often the predicted class is right, against how sure the head was of it.

Naeini, Cooper & Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015 (ECE); bins of equal
mass: Nixon et al., "Measuring Calibration in Deep Learning", CVPR Workshops 2019.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ser.results.metrics import encode
from ser.results.plots import PALETTE
from ser.results.statistics import describe

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS = 15


def reliability(probabilities: Floats, labels: Ints, bins: int = BINS) -> dict[str, Floats]:
    """Accuracy and mean confidence in bins of equal mass: predictions by confidence, in parts that differ by one at most.

    Args:
        probabilities: `(n, K)`.
        labels: `(n,)`, the true classes' numbers.

    Returns:
        `confidence`, `accuracy`, `n`: `(min(bins, n),)` each.

    >>> found = reliability(np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]]), np.array([0, 1, 1]), bins=2)
    >>> found["accuracy"].tolist(), found["n"].tolist()
    ([1.0, 0.0], [2.0, 1.0])
    """
    sure = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    parts = np.array_split(np.argsort(sure, kind="stable"), min(bins, len(sure)))
    return {
        "confidence": np.array([sure[part].mean() for part in parts]),
        "accuracy": np.array([right[part].mean() for part in parts]),
        "n": np.array([float(len(part)) for part in parts]),
    }


def ece(probabilities: Floats, labels: Ints, bins: int = BINS) -> float:
    """Expected calibration error: sum over bins of n_b / n |accuracy_b - confidence_b|; 0 to 1."""
    found = reliability(probabilities, labels, bins)
    return float((found["n"] * np.abs(found["accuracy"] - found["confidence"])).sum() / found["n"].sum())


def of_predictions(test: pd.DataFrame) -> dict[str, Any]:
    """`reliability` of all test predictions together; over runs `ECE`, and `gap`: confidence minus accuracy.

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
        "gap": describe([float(gaps[rows].mean()) for rows in own]),
    }


def diagram(found: dict[str, Any]) -> Figure:
    """Reliability diagram: accuracy over confidence, a point a bin, beside the line of perfect calibration."""
    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    axes = figure.add_subplot()
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
    return figure
