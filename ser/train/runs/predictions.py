"""Predictions of runs as tables, one row per utterance, and the scores of their parts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.features.tensors import Tensors
from ser.results.metrics.classification import scores
from ser.results.records.model import RunScores


def prediction_rows(
    data: Tensors, rows: NDArray[np.int64], probabilities: NDArray[np.float64], **columns: object
) -> pd.DataFrame:
    """Make the rows of a record's predictions, the columns `p_<class>` last.

    Where the data are several corpora joined, a column `dataset` says which corpus an utterance is from.

    Args:
        rows: positions of the utterances in `data.frame`, `(n,)`.
        probabilities: `(n, classes)`.
        columns: further columns with one value each: `run`, `fold`, `split`.
    """
    classes = np.array(data.classes, dtype=object)
    frame = data.frame.iloc[rows]
    table = pd.DataFrame(
        {
            "utterance_id": frame["utterance_id"].to_numpy(),
            **columns,
            "true": classes[data.labels[rows]],
            "predicted": classes[probabilities.argmax(-1)],
            "speaker": frame["speaker"].to_numpy(),
            "gender": frame["gender"].to_numpy(),
            **({"dataset": frame["dataset"].to_numpy()} if "dataset" in frame else {}),
        }
    )
    shares = pd.DataFrame(probabilities, columns=[f"p_{c}" for c in data.classes])
    joined: pd.DataFrame = pd.concat([table, shares], axis=1)
    return joined


def scores_by_split(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """The four metrics of a run's validation and test predictions (`RunScores`), by the names of the splits that it has."""
    parts = {s: predictions[predictions["split"] == s] for s in ("validation", "test")}
    return {
        s: RunScores(**scores(p["true"].to_numpy(), p["predicted"].to_numpy(), classes))
        for s, p in parts.items()
        if len(p)
    }


def collapse_note(predictions: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """A note where every test utterance got the same class."""
    predicted = predictions.loc[predictions["split"] == "test", "predicted"].unique()
    if len(predicted) == 1 and len(classes) > 1:
        return [f"collapsed: every test utterance is predicted {predicted[0]}"]
    return []
