"""The summary of an experiment: what was asked, of which data, by which code, and the numbers over all runs."""

from datetime import datetime, timezone
from typing import Any

import pandas as pd

from ser.errors import TrainingError
from ser.jsonfile import plain
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.records.environment import environment
from ser.results.records.names import (
    AMOUNTS,
    SUMMARY_SCHEMA,
    amount_name,
    amount_of,
    amount_value,
    config_hash,
    run_name,
)

ZERO = amount_name(0)


def summarise(
    *,
    experiment: str,
    command: str,
    config: dict[str, Any],
    data: dict[str, Any],
    stamps: list[str],
    runs: list[dict[str, Any]],
    predictions: pd.DataFrame,
    classes: list[str],
    started: datetime | str,
    seconds: float,
    device: str = "cpu",
    folder: str | None = None,
    extra: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The summary of an experiment (SPEC part 7), all its numbers computed from the predictions.

    Args:
        runs: the records as given to `write_run`.
        predictions: of all runs and folds.
        started: when, with its time zone; a string is taken as it is.
        device: what was trained on.
        folder: where the runs' files are, relative to the summary's; the experiment's name by default.
        extra: more keys, which must not be the summary's own.

    Raises:
        TrainingError: the predictions do not fit together; see `metrics_from_predictions`.
    """
    head = opening(experiment, command, config, data, stamps, started, seconds, device)
    numbers = metrics_from_predictions(predictions, classes)
    return _with_extra({**head, **numbers, "runs": _runs(runs, folder or experiment)}, extra)


def summarise_fewshot(
    *,
    experiment: str,
    command: str,
    config: dict[str, Any],
    data: dict[str, Any],
    stamps: list[str],
    runs: list[dict[str, Any]],
    predictions: pd.DataFrame,
    classes: list[str],
    started: datetime | str,
    seconds: float,
    device: str = "cpu",
    folder: str | None = None,
    extra: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The summary of a few-shot experiment: `summarise` for each amount of the target's training data.

    Args:
        runs: records with a `percentage` or a number of `shots` each; percentage 0 is the source model itself.
        predictions: with a column `percentage`, or `shots`, or both (NaN in the one that does not apply). Rows of percentage
            0 are the source model's: split `test` is the target's test set (zero-shot), split `validation` the source's own
            validation set.

    Raises:
        TrainingError: as `summarise`; or there is no amount above 0.
    """
    names = amounts_of(predictions)
    head = opening(experiment, command, config, data, stamps, started, seconds, device)
    parts: dict[str, Any] = {}
    source: dict[str, Any] | None = None
    for name in sorted(names.unique(), key=amount_value):
        numbers = metrics_from_predictions(predictions[names == name], classes)
        if name == ZERO:
            validation = numbers.pop("validation")
            source = {"zero_shot": numbers, "validation": validation}
        else:
            parts[name] = {"n_samples": _samples(runs, name), **_speakers(runs, name), **numbers}
    if not parts:
        raise TrainingError("there are no few-shot predictions", expected="rows of a percentage above 0, or of shots")
    body: dict[str, Any] = {"percentages": parts}
    if source is not None:
        body["source"] = source
    return _with_extra({**head, **body, "runs": _runs(runs, folder or experiment)}, extra)


def amounts_of(predictions: pd.DataFrame) -> "pd.Series[str]":
    """The name of each prediction's amount of target data (`amount_name`).

    Raises:
        TrainingError: there is no column of amounts.
    """
    columns = [key for key in AMOUNTS if key in predictions.columns]
    if not columns:
        raise TrainingError("few-shot predictions have no column 'percentage' and none 'shots'")
    names = pd.Series("", index=predictions.index, dtype=object)
    for key in columns:
        for value in predictions[key].dropna().unique():
            name = amount_name(shots=int(value)) if key == "shots" else amount_name(float(value))
            names[predictions[key] == value] = name
    return names


def opening(
    experiment: str,
    command: str,
    config: dict[str, Any],
    data: dict[str, Any],
    stamps: list[str],
    started: datetime | str,
    seconds: float,
    device: str,
    schema: str = SUMMARY_SCHEMA,
) -> dict[str, Any]:
    """What all results begin with: what was asked, of which data, when and by which code."""
    if isinstance(started, datetime):
        started = started.astimezone(timezone.utc).isoformat(timespec="seconds")
    return {
        "schema": schema,
        "experiment": experiment,
        "command": command,
        "config": plain(config),
        "config_hash": config_hash(config),
        "data": plain(data),
        "stamps": list(stamps),
        "environment": environment(device),
        "time": {"started": started, "seconds": round(float(seconds), 3)},
    }


def _with_extra(summary: dict[str, Any], extra: dict[str, Any] | None) -> dict[str, Any]:
    taken = sorted(set(summary) & set(extra or {}))
    if taken:
        raise TrainingError(f"the extra key {taken[0]!r} is one of the summary's own", expected="another name")
    return {**summary, **plain(extra or {})}


def _runs(records: list[dict[str, Any]], folder: str) -> list[dict[str, Any]]:
    rows = []
    for record in records:
        fold, amount = str(record["fold"]), amount_of(record)
        name = run_name(int(record["run"]), fold, **amount)
        row = {"run": int(record["run"]), "fold": fold, "seed": record["seed"], **amount}
        row |= {key: record[key] for key in ("best_epoch", "seconds") if key in record}
        rows.append(plain({**row, "record": f"{folder}/{name}.json", "predictions": f"{folder}/{name}.csv"}))
    return rows


def _samples(records: list[dict[str, Any]], name: str) -> int | dict[str, float]:
    """Training utterances at an amount: one number, or mean, min and max where folds differ."""
    sizes = [int(r["n"]["train"]) for r in records if amount_of(r) and amount_name(**amount_of(r)) == name]
    if not sizes:
        raise TrainingError(f"there is no run record of {name}", expected="one a run, fold and amount")
    return _spread(sizes)


def _speakers(records: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """From how many speakers these are, where that is known."""
    known = [r for r in records if "speakers" in r and amount_of(r) and amount_name(**amount_of(r)) == name]
    return {"n_speakers": _spread([int(r["speakers"]) for r in known])} if known else {}


def _spread(sizes: list[int]) -> int | dict[str, float]:
    if len(set(sizes)) == 1:
        return sizes[0]
    return {"mean": sum(sizes) / len(sizes), "min": min(sizes), "max": max(sizes)}
