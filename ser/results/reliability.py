"""Reliability diagram of stored probabilities: how often the predicted class is right, against how sure the head was of it."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ser.results.calibration import ece, reliability
from ser.results.metrics import encode
from ser.results.plots import PALETTE
from ser.results.statistics import describe


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
