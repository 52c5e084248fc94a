"""Predictions of runs as tables, one row per utterance, and runs with the scores of their parts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from msgspec import UNSET
from numpy.typing import NDArray

from ser.features.tensors import Tensors
from ser.metadata.targets import MIXED
from ser.results.metrics.measures import RATED_AS, VALUE, measure_of_kind, run_scores
from ser.results.records.model import RunResult
from ser.results.records.numbers import RunScores
from ser.train.runs.job import Run


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


def scored_run(predictions: pd.DataFrame, classes: Sequence[str], *, notes: Sequence[str], **fields: Any) -> Run:
    """A run with its scores on validation, where it has such predictions, and on test, and a note where it collapsed.

    Args:
        predictions: of the run on its fold.
        notes: of the training.
        fields: the other fields of `RunResult`.
    """
    validation, test = (predictions[predictions["split"] == split] for split in ("validation", "test"))
    predicted = list(test["predicted"].unique()) if "predicted" in test else []
    if len(predicted) == 1 and len(classes) > 1:
        notes = [*notes, f"collapsed: every test utterance is predicted {predicted[0]}"]
    scores = RunScores(**run_scores(validation, classes)) if len(validation) else UNSET
    result = RunResult(**fields, validation=scores, test=RunScores(**run_scores(test, classes)), notes=list(notes))
    return Run(result, predictions)
