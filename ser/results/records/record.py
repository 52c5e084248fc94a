"""Records: a JSON and a CSV of predictions a run, a JSON summary an experiment. All are validated, then written whole.

    results/<experiment>.json                              the summary
    results/<experiment>/run-000.fold-00.json              a run's record
    results/<experiment>/run-000.fold-00.csv               its predictions
    results/<experiment>/run-000.fold-00.10pct.json        the same, of a few-shot run on 10 % of the target's data
    results/<experiment>/run-000.fold-00.5shots.json       and on 5 utterances of each class

Numbers that are not finite are an error, never written. What is undefined by a metric's definition is null, and the schema
says where that may be.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.errors import ConfigError
from ser.jsonfile import check, fault_of, plain, read_object, write_json
from ser.results.metrics.predictions import TEXT_COLUMNS, check_predictions, metrics_from_predictions
from ser.results.records.environment import environment
from ser.results.records.find import find_summary, read_any, read_summary
from ser.results.records.kinds import model_of, studies
from ser.results.records.model import Run
from ser.results.records.names import AMOUNTS, RUN_SCHEMA, amount_of, config_hash, run_name
from ser.results.records.summary import summarise, summarise_fewshot
from ser.workspace import writing

__all__ = [
    "config_hash",
    "environment",
    "find_summary",
    "metrics_from_predictions",
    "read_any",
    "read_predictions",
    "read_run",
    "read_summary",
    "run_name",
    "summarise",
    "summarise_fewshot",
    "write_run",
    "write_study",
    "write_summary",
]


def write_run(folder: Path, record: dict[str, Any], predictions: pd.DataFrame) -> None:
    """Write a run's predictions and then its record: a record that is there has its predictions beside it.

    Args:
        folder: `results/<experiment>`.
        record: as `ser.results.records.model.Run`; `schema`, `predictions` and `predictions_sha256` are filled in.
        predictions: of this run and fold, see `ser.results.metrics.predictions`.

    Raises:
        TrainingError, ConfigError: not valid; nothing is written.
    """
    name = run_name(int(record["run"]), str(record["fold"]), **amount_of(record))
    classes = [column[2:] for column in predictions.columns if column.startswith("p_")]
    check_predictions(predictions, classes)
    types = {f"p_{name}": np.float32 for name in classes}
    table = predictions.drop(columns=list(AMOUNTS), errors="ignore").astype(types)
    data = table.to_csv(index=False, lineterminator="\n").encode("utf-8")
    full = plain(
        {
            **record,
            "schema": RUN_SCHEMA,
            "fold": str(record["fold"]),
            "predictions": f"{name}.csv",
            "predictions_sha256": hashlib.sha256(data).hexdigest(),
        }
    )
    check(full, Run, f"{name}.json")
    with writing(folder / f"{name}.csv") as temporary:
        temporary.write_bytes(data)
    write_json(folder / f"{name}.json", full, Run)


def read_run(
    folder: Path,
    run: int,
    fold: str,
    *,
    percentage: float | None = None,
    shots: int | None = None,
    config_hash: str | None = None,
) -> tuple[dict[str, Any], pd.DataFrame] | None:
    """A run that was written before, for resuming.

    Args:
        percentage, shots: of a few-shot run, one of them.
        config_hash: where given, a record of another configuration does not count.

    Returns:
        The record and its predictions; None if either is absent, damaged, or of another run.
    """
    name = run_name(run, str(fold), percentage, shots)
    try:
        record = read_object(folder / f"{name}.json", "record")
        if fault_of(record, Run) is not None or record["predictions"] != f"{name}.csv":
            return None
        data = (folder / record["predictions"]).read_bytes()
    except (ConfigError, OSError):
        return None
    if hashlib.sha256(data).hexdigest() != record.get("predictions_sha256"):
        return None
    amount = amount_of({"percentage": percentage, "shots": shots})
    if (record["run"], record["fold"], amount_of(record)) != (run, str(fold), amount):
        return None
    if config_hash is not None and record.get("config_hash") != config_hash:
        return None
    return record, _frame(folder / record["predictions"], amount)


def _frame(path: Path, amount: dict[str, Any]) -> pd.DataFrame:
    """A CSV of predictions: text as text (a speaker may be called NA), probabilities as float32."""
    types: dict[Any, Any] = dict.fromkeys((*TEXT_COLUMNS, "dataset"), str)
    frame = pd.read_csv(path, dtype=types, keep_default_na=False, encoding="utf-8")
    for column in frame.columns:
        if column.startswith("p_"):
            frame[column] = frame[column].astype(np.float32)
    for key, value in amount.items():
        frame[key] = float(value)
    return frame


def read_predictions(path: Path, summary: dict[str, Any]) -> pd.DataFrame:
    """All predictions of a summary's runs: what `metrics_from_predictions` makes its numbers of.

    Args:
        path: the summary's file: the runs' paths are relative to its folder.

    Raises:
        ConfigError: a file is missing or is no CSV of predictions.
    """
    frames = []
    for run in summary["runs"]:
        file = path.parent / run["predictions"]
        try:
            frames.append(_frame(file, amount_of(run)))
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"cannot read the predictions {file}", found=error) from None
    return pd.concat(frames, ignore_index=True)


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """Validate a summary and write it whole.

    Raises:
        TrainingError, ConfigError: not valid; nothing is written.
    """
    write_json(path, summary, model_of(summary))


def write_study(path: Path, study: dict[str, Any]) -> None:
    """Validate a study (an ablation, a search, ...) and write it whole, with the files that its kind has beside it.

    Raises:
        TrainingError, ConfigError: not valid; nothing is written.
    """
    kind = studies().get(str(study.get("schema")))
    if kind is None:
        raise ConfigError(
            f"{path.name} is no study", expected=f"schema {', '.join(studies())}", found=repr(study.get("schema"))
        )
    write_json(path, study, kind)
    check(study, kind, path.name).write_beside(path)
