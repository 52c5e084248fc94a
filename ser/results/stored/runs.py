"""Runs: their records and predictions, written and read; an experiment has them beside its summary.

    results/<experiment>.json                              the summary
    results/<experiment>/run-000.fold-00.json              a run's record
    results/<experiment>/run-000.fold-00.csv               its predictions
    results/<experiment>/run-000.fold-00.10pct.json        the same, of a few-shot run on 10 % of the target's data
    results/<experiment>/run-000.fold-00.5shots.json       and on 5 utterances of each class

Numbers that are not finite are an error, never written. A metric that is undefined is null, and the
schema says where that may be.
"""

import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from msgspec.structs import asdict

from ser.errors import ConfigError, UnusableError
from ser.files import exact_floats
from ser.jsonfile import Model, check, decode, plain, read_limited, write_json
from ser.results.metrics.measures import outputs_of
from ser.results.metrics.predictions import TEXT_COLUMNS, check_predictions
from ser.results.records.find import beside
from ser.results.records.kinds import read_record, read_summary
from ser.results.records.model import RunRecord, RunResult, RunRow
from ser.results.records.names import AMOUNTS, amount_of, run_name
from ser.workspace import writing

Written = TypeVar("Written", bound=Model)


def write_run(folder: Path, result: RunResult, predictions: pd.DataFrame) -> RunRecord:
    """Write a run's predictions and then its record: a record that is there has its predictions beside it.

    Args:
        folder: `results/<experiment>`.
        predictions: of this run and fold, see `ser.results.metrics.predictions`.

    Returns:
        The record, as written.

    Raises:
        TrainingError, ConfigError: not valid; nothing is written.
    """
    name = run_name(result.run, result.fold, **amount_of(result))
    check_predictions(predictions, outputs_of(predictions))
    table = pd.DataFrame(
        {
            name: column.astype(np.float32) if str(name).startswith(("p_", "v_")) else column
            for name, column in predictions.items()
            if name not in AMOUNTS
        },
        predictions.index,  # or all columns are aligned first
    )
    data = table.to_csv(index=False, lineterminator="\n").encode("utf-8")
    digest = hashlib.sha256(data).hexdigest()
    record = RunRecord(**asdict(result), predictions=f"{name}.csv", predictions_sha256=digest)
    check(record, RunRecord, f"{name}.json")
    with writing(folder / f"{name}.csv") as temporary:
        temporary.write_bytes(data)
    write_json(folder / f"{name}.json", record)
    return record


def read_run(
    folder: Path,
    run: int,
    fold: str,
    *,
    percentage: float | None = None,
    shots: int | None = None,
    config_hash: str | None = None,
) -> tuple[RunRecord, pd.DataFrame] | None:
    """Read a run that was written before, for resuming.

    Args:
        percentage, shots: of a few-shot run, one of them.
        config_hash: where given, a record of another configuration does not count.

    Returns:
        The record and its predictions; None if either is absent, damaged, or of another run.
    """
    name = run_name(run, str(fold), percentage, shots)
    path = folder / f"{name}.json"
    try:
        record = decode(read_limited(path, "record"), RunRecord, path)
        data = read_limited(folder / f"{name}.csv", "table of predictions")
    except ConfigError:
        return None
    amount = amount_of({"percentage": percentage, "shots": shots})
    if (record.run, record.fold, amount_of(record), record.predictions) != (run, str(fold), amount, f"{name}.csv"):
        return None
    if hashlib.sha256(data).hexdigest() != record.predictions_sha256:
        return None
    if config_hash is not None and record.config_hash != config_hash:
        return None
    return record, _frame(folder / record.predictions, amount)


def _frame(path: Path, amount: dict[str, Any]) -> pd.DataFrame:
    """A CSV of predictions; a value of `amount` becomes a column.

    Raises:
        ConfigError: the file is missing, or is not a CSV of predictions.
    """
    types: dict[Any, Any] = dict.fromkeys((*TEXT_COLUMNS, "dataset"), object)  # as runs make them
    content = BytesIO(read_limited(path, "table of predictions"))
    try:
        frame: pd.DataFrame = pd.read_csv(content, dtype=types, keep_default_na=False, encoding="utf-8", **exact_floats())
        for column in frame.columns:
            if column.startswith(("p_", "v_")):
                frame[column] = frame[column].astype(np.float32)
    except (ValueError, KeyError) as error:  # ParserError and UnicodeDecodeError are ValueErrors
        raise UnusableError(f"cannot read the predictions {path}", found=error) from None
    for key, value in amount.items():
        frame[key] = float(value)
    return frame


def read_predictions(path: Path | str, runs: Sequence[RunRow] | None = None) -> pd.DataFrame:
    """Read predictions: of one run, or of all runs of a summary, for `metrics_from_predictions`.

    Texts stay texts (a speaker called `03` or `NA`), probabilities are float32.

    Args:
        path: a CSV of predictions, or the JSON file of a summary.
        runs: those runs of the summary only.

    Returns:
        One row per prediction; of few-shot runs with a column `percentage` or `shots`.

    Raises:
        ConfigError: a file is missing, or is not a CSV of predictions.
    """
    path = Path(path)
    if runs is None and path.suffix == ".csv":
        return _frame(path, {})
    if runs is None:
        runs = read_summary(path).runs
    frames = [_frame(beside(path, run.predictions), amount_of(run)) for run in runs]
    return pd.concat(frames, ignore_index=True)


def write_record(path: Path, record: Written) -> Written:
    """Check a record and write it whole. One that is there and says the same stays, with the command, the time and the machine
    that it was made with, and the name that the file of folds had.

    Returns:
        The record that is there now.

    Raises:
        TrainingError, ConfigError: it is not valid; nothing is written.
    """
    try:
        there = read_record(path)
    except ConfigError:  # none, or one that cannot be read and is made again
        there = None
    if isinstance(there, type(record)) and _content(there) == _content(record):
        return there
    write_json(path, record)
    return record


def _content(record: Model) -> Any:
    """What a record says, without how it was asked for."""
    return _without_fold_files({k: v for k, v in plain(record).items() if k not in ("command", "time", "environment")})


def _without_fold_files(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_fold_files(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {k: {**v, "file": ""} if k == "fold_options" else _without_fold_files(v) for k, v in value.items()}
