"""Means of several predictions beside the plain ones: of stored views (test-time augmentation), of runs, of snapshots.

Deep ensembles: Lakshminarayanan, Pritzel, Blundell, NeurIPS 2017. Runs of the same fold have the same test utterances, so the
comparison is paired; the temperature of an ensemble is its own, fitted after averaging (Rahaman & Thiery, NeurIPS 2021).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax

from ser.errors import TrainingError
from ser.evaluation.evaluated_model import Key, head_of_file
from ser.evaluation.head_outputs import Floats, Sides, probabilities
from ser.evaluation.predictions import EvaluatedPredictions
from ser.evaluation.rerun import (
    features_in_view,
    outputs_on_test_rows,
    refuse_other_probabilities,
    replace_probabilities,
    stored_views,
)
from ser.features.stores.names import TTA_VIEWS
from ser.results.metrics import evaluation
from ser.results.metrics.classification import scores
from ser.results.metrics.measures import VALUE
from ser.results.records.evaluation import Augmented, Ensemble, Snapshots
from ser.results.statistics.gains import against_members
from ser.results.statistics.paired import compare
from ser.train.classical.classifier import Classical


def mean_of_views(predictions: EvaluatedPredictions) -> pd.DataFrame:
    """Predict by the mean over the original and its stored views.

    Raises:
        ConfigError: a view is missing, or was chosen by the true label.
        StoreError: a view of another encoder or of other audio, or features that are not those of the record.
    """
    files, use = stored_views(predictions, ["tta"], "--tta"), "averaged over in an evaluation"
    versions = [predictions.features, *(features_in_view(predictions, own, use) for own in files.values())]
    model, new = predictions.model, dict[Key, Floats]()
    for key, rows, each in outputs_on_test_rows(probabilities, predictions, versions):
        refuse_other_probabilities(each[0], rows, model, key)
        new[key] = np.asarray(np.mean(each, axis=0))
    return replace_probabilities(predictions, new)


def evaluate_views(predictions: EvaluatedPredictions, found: evaluation.Temperatures | None) -> tuple[Augmented, pd.DataFrame]:
    """Evaluate the mean over the original and its views, beside the original; the temperature is that of the original.

    Returns:
        The record's part, and the predictions.

    Raises:
        ConfigError, StoreError: as `mean_of_views`.
    """
    model, new = predictions.model, mean_of_views(predictions)
    numbers = evaluation.evaluation_numbers(new, predictions.validation, model.classes, predictions.own, found)
    part = Augmented(
        views=["original", *TTA_VIEWS], **numbers._asdict(), comparison=compare(new, predictions.test, model.classes)
    )
    return part, new


def mean_of_runs(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Predict by the mean of all runs' probabilities and values, fold by fold: one run, number 0.

    Raises:
        TrainingError: a run lacks an utterance that another has.
    """
    shares = [f"p_{name}" for name in classes]
    columns = shares + [str(column) for column in predictions.columns if str(column).startswith(VALUE)]
    keys = ["fold", "split", "utterance_id"]
    runs = predictions["run"].nunique()
    groups = predictions.groupby(keys, sort=False)
    if (groups.size() != runs).any():
        raise TrainingError("the runs did not predict the same utterances", expected="the same folds in every run")
    rows = groups.first().reset_index()
    rows[columns] = groups[columns].mean().to_numpy()
    rows["run"] = 0
    if "predicted" in rows:
        rows["predicted"] = [classes[k] for k in rows[shares].to_numpy().argmax(axis=1)]
    found: pd.DataFrame = rows[list(predictions.columns)]
    return found


def evaluate_mean_of_runs(predictions: EvaluatedPredictions, calibrate: bool) -> Ensemble | None:
    """Evaluate the mean of the runs' probabilities, beside the runs one by one; None with one run."""
    test, validation, classes = predictions.test, predictions.validation, predictions.model.classes
    runs = int(test["run"].nunique())
    if runs < 2:
        return None
    one = mean_of_runs(test, classes)
    held_out = None if validation is None else mean_of_runs(validation, classes)
    own = evaluation.fit_temperatures(held_out, classes) if calibrate and held_out is not None else None
    numbers = evaluation.evaluation_numbers(one, held_out, classes, predictions.own, own)
    return Ensemble(members=runs, **numbers._asdict(), comparison=against_members(one, test, classes))


def compare_snapshots(predictions: EvaluatedPredictions) -> Snapshots | None:
    """Compare the snapshot ensemble of each run with its last snapshot; None where heads have one, or several parts."""
    model, test = predictions.model, predictions.test
    if predictions.corpus is None:
        return None
    head = model.first_head
    count = 1 if isinstance(head.config, Classical) else head.config.snapshots
    if count == 1 or len(head.weights) > 1:
        return None
    outputs = outputs_on_test_rows(_of_each_snapshot, predictions, [predictions.features])
    found = {key: shares for key, _, shares in outputs}
    each = [replace_probabilities(predictions, {key: s[k] for key, s in found.items()}) for k in range(count)]
    return Snapshots(
        members=count,
        UA_of_each=[_mean_ua(frame, model.classes) for frame in each],
        comparison_with_last=compare(test, each[-1], model.classes),
    )


def _of_each_snapshot(head: Path, sides: Sides) -> Floats:
    """The probabilities of each snapshot, `(snapshots, n, K)`."""
    ((corpus, rows),) = sides
    logits = corpus.outputs(head_of_file(head), rows).logits
    assert logits is not None
    return np.asarray(softmax(logits, axis=-1))


def _mean_ua(frame: pd.DataFrame, classes: Sequence[str]) -> float:
    """The mean over runs of the UA."""
    runs = [rows for _, rows in frame.groupby("run")]
    return float(np.mean([scores(r["true"].to_numpy(), r["predicted"].to_numpy(), classes)["UA"] for r in runs]))
