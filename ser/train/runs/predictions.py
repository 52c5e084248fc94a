"""Predictions of runs as tables, one row per utterance, and the scores of their parts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from ser.features.tensors import Tensors
from ser.metadata.targets import MIXED
from ser.results.metrics.measures import RATED_AS, VALUE, measure_of_kind, run_scores
from ser.results.records.numbers import RunScores


def prediction_rows(
    data: Tensors, rows: NDArray[np.int64], probabilities: NDArray[np.float64], **columns: object
) -> pd.DataFrame:
    """Make the rows of a record's predictions, the columns `p_<class>` last; those before them see `metrics.measures`.

    Where the data are several corpora joined, a column `dataset` says which corpus an utterance is from.

    Args:
        rows: positions of the utterances in `data.frame`, `(n,)`.
        probabilities: `(n, classes)`; of a class and dimensions, their values follow.
        columns: further columns, `run`, `fold`, `split`: one value each, or one of each row in an array of objects.
    """
    classes = np.array(data.classes, dtype=object)
    mixed = data.target.kind == MIXED
    measure = measure_of_kind(data.target.kind)
    probabilities, more = np.split(probabilities, [len(classes)], axis=-1)
    index = pd.RangeIndex(len(rows))  # one for all columns, or they are aligned first

    def texts(values: Sequence[str] | NDArray[Any]) -> "pd.Series[str]":
        """A column of Python's texts, as tables have them: pandas' own are several times slower in frames of one run's size."""
        return pd.Series(values, index, dtype=object)

    named = {"true": texts(classes[data.labels[rows]]), "predicted": texts(classes[probabilities.argmax(-1)])}
    of_table = [name for name in ("speaker", "gender", "dataset") if name in data.frame]
    table = pd.DataFrame(
        {
            "utterance_id": texts(data.frame["utterance_id"].to_numpy()[rows]),
            **{
                name: texts([value] * len(rows))
                if isinstance(value, str)
                else texts(value)
                if isinstance(value, np.ndarray)
                else value
                for name, value in columns.items()
            },
            **(named if measure.kind in ("emotion", "votes") else {}),
            **{name: texts(data.frame[name].to_numpy()[rows]) for name in of_table},
        },
        index,
    )
    shares = pd.DataFrame(probabilities, columns=[f"p_{c}" for c in data.classes])
    parts = [table, shares]
    if mixed:
        assert data.values is not None
        rated = np.stack([data.values[rows], more.astype(np.float32)], -1).reshape(len(rows), -1)
        names = [f"{prefix}{name}" for name in data.target.names for prefix in (RATED_AS, VALUE)]
        parts = [table, pd.DataFrame(rated, columns=names), shares.astype(np.float32)]
    elif data.values is not None:
        # As they are written: the scores of a record are those of its file.
        parts[1] = shares.astype(np.float32)
        parts.insert(1, pd.DataFrame(data.values[rows], columns=[f"{measure.truth}{c}" for c in data.classes]))
    joined: pd.DataFrame = pd.concat(parts, axis=1)
    return joined


class SplitScores(NamedTuple):
    """The metrics of a run's predictions."""

    validation: RunScores | UnsetType
    test: RunScores


def scores_by_split(predictions: pd.DataFrame, classes: Sequence[str]) -> SplitScores:
    """The metrics of a run's validation predictions, where it has some, and of its test predictions."""
    validation, test = (predictions[predictions["split"] == s] for s in ("validation", "test"))
    return SplitScores(
        RunScores(**run_scores(validation, classes)) if len(validation) else UNSET, RunScores(**run_scores(test, classes))
    )


def collapse_note(predictions: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """A note where every test utterance got the same class."""
    if "predicted" not in predictions:
        return []
    predicted = predictions.loc[predictions["split"] == "test", "predicted"].unique()
    if len(predicted) == 1 and len(classes) > 1:
        return [f"collapsed: every test utterance is predicted {predicted[0]}"]
    return []
