"""`ser results verify`: every number of a record computed again from the stored predictions.

The same functions that wrote a summary's numbers compute them again: what is found is a record, a run or a prediction that was
changed afterwards, a file that is gone, or code that has changed its mind. That the functions are right is what their tests
are for. A run's own scores are computed in another way than the summary's, and their means are compared too.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ser.errors import ConfigError, SerError
from ser.jsonfile import fault_of, read_object
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.metrics.swapped_labels import suspects
from ser.results.records.kinds import model_of, studies
from ser.results.records.names import SUMMARY_SCHEMA, config_hash
from ser.results.records.record import summarise_fewshot
from ser.results.verification.account import verify_account
from ser.results.verification.data import verify_data
from ser.results.verification.retrace import Runs, classes_of, retrace, tested_labels
from ser.results.verification.study import study_numbers, union_numbers
from ser.results.verification.verdict import Verdict
from ser.workspace import Workspace


def verify(path: Path, space: Workspace) -> Verdict:
    """Recompute a summary or a study.

    Args:
        path: the record.
        space: where its tables and stores are; a record in a folder `results` is looked for beside that folder.

    Raises:
        ConfigError: the file is missing, is not JSON, or is of a kind that has nothing to recompute.
    """
    record = read_object(path, "record")
    if record.get("schema") not in (SUMMARY_SCHEMA, *studies()):
        expected = f"schema {', '.join([SUMMARY_SCHEMA, *studies()])}"
        raise ConfigError(f"{path} cannot be recomputed", expected=expected, found=repr(record.get("schema")))
    verdict = Verdict(path)
    fault = fault_of(record, model_of(record))
    if fault is not None:
        verdict.add("$", fault, "a valid record")
        return verdict
    verdict.compare(record["config_hash"], config_hash(record["config"]), "$.config_hash")
    beside = Workspace(path.resolve().parent.parent) if path.resolve().parent.name == "results" else space
    try:
        if record["schema"] == SUMMARY_SCHEMA:
            _verify_summary(path, record, beside, verdict)
        else:
            verify_data(record["data"], beside, verdict)
            for where, stored, again in study_numbers(path, record, verdict):
                verdict.compare(stored, again, where)
    except (SerError, KeyError, ValueError) as error:
        verdict.add("$", f"{type(error).__name__} {error}", "numbers that can be computed again")
    return verdict


def verify_all(folder: Path, space: Workspace) -> Iterator[Verdict]:
    """All summaries and studies of a folder; other JSON files are passed over, damaged ones are faults."""
    for path in sorted(folder.glob("*.json")):
        try:
            schema = read_object(path, "record").get("schema")
        except ConfigError as error:
            verdict = Verdict(path)
            verdict.add(path.name, error.problem, "a record")
            yield verdict
            continue
        if schema == SUMMARY_SCHEMA or schema in studies():
            yield verify(path, space)


def _verify_summary(path: Path, summary: dict[str, Any], space: Workspace, verdict: Verdict) -> None:
    runs = retrace(path, summary, verdict)
    labels = tested_labels(runs.frames) if runs.frames else None
    unchanged = verify_data(summary["data"], space, verdict, labels)
    verify_account(summary, runs, unchanged, space, verdict)
    if not runs.whole:
        verdict.missing.append("the numbers cannot be recomputed without all runs")
        return
    again = _again(path, summary, runs, verdict)
    for key, value in again.items():
        if key in summary:
            verdict.compare(summary[key], value, f"$.{key}")
        else:
            verdict.missing.append(f"the record has no {key}: it is of an earlier version")


def _again(path: Path, summary: dict[str, Any], runs: Runs, verdict: Verdict) -> dict[str, Any]:
    """All numbers of the summary, by their keys."""
    classes = classes_of(runs.frames[0])
    predictions = runs.predictions
    if "percentages" in summary:
        empty: dict[str, Any] = {"config": {}, "data": {}, "stamps": [], "started": "", "seconds": 0.0}
        whole = summarise_fewshot(
            experiment="-", command="-", runs=runs.records, predictions=predictions, classes=classes, **empty
        )
        return {key: whole[key] for key in ("percentages", "source") if key in whole}
    found: dict[str, Any] = metrics_from_predictions(predictions, classes)
    seconds = {"time": {**summary["time"], "seconds": round(sum(float(r["seconds"]) for r in runs.records), 3)}}
    found |= seconds
    if "suspects" in summary:
        found["suspects"] = suspects(predictions, classes)
    if isinstance(summary.get("datasets"), dict):
        found["datasets"] = union_numbers(path, summary, predictions, classes, verdict)
    return found
