"""Means of several predictions beside the plain ones: of stored views (test-time augmentation), of runs, of snapshots."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from ser.evaluation.evaluated_model import EvaluatedModel, Key
from ser.evaluation.head_outputs import CorpusFeatures, Floats, Rows, refuse_other_probabilities, replace_probabilities
from ser.evaluation.predictions import EvaluatedPredictions
from ser.evaluation.views import features_in_view, stored_views
from ser.features.views import TTA_VIEWS
from ser.results.metrics import evaluation
from ser.results.metrics.classification import scores
from ser.results.metrics.ensemble import mean_of_runs
from ser.results.statistics.gains import against_members
from ser.results.statistics.paired import compare
from ser.train.classical.classifier import Classical
from ser.workspace import Workspace


def mean_of_views(predictions: EvaluatedPredictions, space: Workspace) -> pd.DataFrame:
    """Predict by the mean over the original and its stored views.

    Raises:
        ConfigError: a view is missing, or was chosen by the true label.
        StoreError: a view of another encoder or of other audio, or features that are not those of the record.
    """
    model, original, dataset = predictions.model, predictions.features, predictions.dataset
    files = stored_views(original, dataset, space, ["tta"], "--tta")
    use = "averaged over in an evaluation"
    versions = [original, *(features_in_view(original, own, dataset, space, use) for own in files.values())]

    def mean(key: Key, rows: pd.DataFrame, where: Rows) -> Floats:
        head = model.head(key)
        each = [version.outputs(head, where).probabilities for version in versions]
        refuse_other_probabilities(each[0], rows, model, key)
        return np.asarray(np.mean(each, axis=0))

    return replace_probabilities(model, predictions.test, versions[0], mean)


def evaluate_views(
    predictions: EvaluatedPredictions, space: Workspace, found: evaluation.Temperatures | None
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Evaluate the mean over the original and its views, beside the original; the temperature is that of the original.

    Returns:
        The record's part, and the predictions.

    Raises:
        ConfigError, StoreError: as `mean_of_views`.
    """
    model, new = predictions.model, mean_of_views(predictions, space)
    part = {
        "views": ["original", *TTA_VIEWS],
        **evaluation.evaluation_numbers(new, predictions.validation, model.classes, predictions.own, found),
        "comparison": compare(new, predictions.test, model.classes),
    }
    return part, new


def evaluate_mean_of_runs(
    test: pd.DataFrame, validation: pd.DataFrame | None, classes: Sequence[str], together: bool, calibrate: bool
) -> dict[str, Any] | None:
    """Evaluate the mean of the runs' probabilities, beside the runs one by one; None with one run.

    Args:
        together: see `ser.results.metrics.evaluation.units`.
    """
    runs = int(test["run"].nunique())
    if runs < 2:
        return None
    one = mean_of_runs(test, classes)
    held_out = None if validation is None else mean_of_runs(validation, classes)
    own = evaluation.fit_temperatures(held_out, classes) if calibrate and held_out is not None else None
    return {
        "members": runs,
        **evaluation.evaluation_numbers(one, held_out, classes, together, own),
        "comparison": against_members(one, test, classes),
    }


def compare_snapshots(model: EvaluatedModel, test: pd.DataFrame, corpus: CorpusFeatures) -> dict[str, Any] | None:
    """Compare the snapshot ensemble of each run with its last snapshot; None where heads have one, or several parts."""
    head = model.first_head
    count = 1 if isinstance(head.config, Classical) else head.config.snapshots
    if count == 1 or len(head.weights) > 1:
        return None
    kept: dict[Key, Floats] = {}

    def one(number: int) -> pd.DataFrame:
        def probabilities(key: Key, rows: pd.DataFrame, where: Rows) -> Floats:
            if key not in kept:
                logits = corpus.outputs(model.head(key), where).logits
                assert logits is not None
                kept[key] = softmax(logits, axis=-1)
            return np.asarray(kept[key][number])

        return replace_probabilities(model, test, corpus, probabilities)

    each = [one(k) for k in range(count)]
    return {
        "members": count,
        "UA_of_each": [_mean_ua(frame, model.classes) for frame in each],
        "comparison_with_last": compare(test, each[-1], model.classes),
    }


def _mean_ua(frame: pd.DataFrame, classes: Sequence[str]) -> float:
    """The mean over runs of the UA."""
    runs = [rows for _, rows in frame.groupby("run")]
    return float(np.mean([scores(r["true"].to_numpy(), r["predicted"].to_numpy(), classes)["UA"] for r in runs]))
