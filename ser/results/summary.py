"""The summary of an experiment: what was asked, of which data, by which code, and the numbers over all runs."""

from datetime import datetime, timezone
from typing import Any

import pandas as pd

from ser.errors import TrainingError
from ser.results.environment import environment
from ser.results.names import SUMMARY_SCHEMA, config_hash, run_name
from ser.results.predictions import metrics_from_predictions
from ser.results.schema import plain


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
    """The summary of a few-shot experiment: `summarise` for each percentage of the target's training data.

    Args:
        runs: records with a `percentage` each; 0 is the source model itself.
        predictions: with a column `percentage`. Rows of percentage 0 are the source model's: split `test` is the
            target's test set (zero-shot), split `validation` the source's own validation set.

    Raises:
        TrainingError: as `summarise`; or there is no percentage above 0.
    """
    if "percentage" not in predictions.columns:
        raise TrainingError("few-shot predictions have no column 'percentage'")
    head = opening(experiment, command, config, data, stamps, started, seconds, device)
    shares = sorted(float(p) for p in predictions["percentage"].unique())
    if not any(shares):
        raise TrainingError("there are no few-shot predictions", expected="rows of a percentage above 0")
    parts: dict[str, Any] = {}
    source: dict[str, Any] | None = None
    for share in shares:
        numbers = metrics_from_predictions(predictions[predictions["percentage"] == share], classes)
        if share == 0:
            validation = numbers.pop("validation")
            source = {"zero_shot": numbers, "validation": validation}
        else:
            parts[f"{share:g}%"] = {"n_samples": _samples(runs, share), **numbers}
    body: dict[str, Any] = {"percentages": parts}
    if source is not None:
        body["source"] = source
    return _with_extra({**head, **body, "runs": _runs(runs, folder or experiment)}, extra)


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
        fold, share = str(record["fold"]), record.get("percentage")
        name = run_name(int(record["run"]), fold, share)
        row = {"run": int(record["run"]), "fold": fold, "seed": record["seed"]}
        row |= {} if share is None else {"percentage": float(share)}
        row |= {key: record[key] for key in ("best_epoch", "seconds") if key in record}
        rows.append(plain({**row, "record": f"{folder}/{name}.json", "predictions": f"{folder}/{name}.csv"}))
    return rows


def _samples(records: list[dict[str, Any]], share: float) -> int | dict[str, float]:
    """Training utterances at a percentage: one number, or mean, min and max where folds differ."""
    sizes = [int(r["n"]["train"]) for r in records if float(r.get("percentage", -1)) == share]
    if not sizes:
        raise TrainingError(f"there is no run record of {share:g} %", expected="one a run, fold and percentage")
    if len(set(sizes)) == 1:
        return sizes[0]
    return {"mean": sum(sizes) / len(sizes), "min": min(sizes), "max": max(sizes)}
