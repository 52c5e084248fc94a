"""Ensembles: the mean of several heads' probabilities or values; `statistics.gains` compares it with these heads one by one.

Deep ensembles: Lakshminarayanan, Pritzel, Blundell, NeurIPS 2017. Runs of the same fold have the same test utterances, so the
comparison is paired; the temperature of an ensemble is its own, fitted after averaging (Rahaman & Thiery, NeurIPS 2021).
"""

from collections.abc import Sequence

import pandas as pd

from ser.errors import TrainingError
from ser.results.metrics.measures import VALUE


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
