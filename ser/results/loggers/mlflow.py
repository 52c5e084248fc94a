"""MLflow tracking: a run for the experiment with its configuration and scores, and one below it for each training."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from ser.jsonfile import dumps, plain
from ser.results.loggers import Values, values_of_run, values_of_summary
from ser.results.records.model import RunRecord
from ser.results.report.background import flat
from ser.results.stored_result import StoredResult

PACKAGE = "mlflow"
DATABASE = "mlflow.db"
BATCH = 900  # metrics in one call; MLflow takes 1000
CHANGING = ("command", "environment", "time")  # of a record that is otherwise the same when its command is given again
LONGEST = 500  # characters of a parameter
MARK = "ser.content"  # a tag with the hash of the content that a run was written from


def write(result: StoredResult, folder: Path) -> str:
    """Write into `folder/mlflow.db`, or where MLFLOW_TRACKING_URI says; an earlier version of the experiment is replaced."""
    from mlflow import MlflowClient

    place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder / DATABASE).resolve().as_posix()}"
    client = MlflowClient(tracking_uri=place)
    experiment = _experiment(client, result, folder)
    lasting = {key: value for key, value in plain(result.record).items() if key not in CHANGING}
    content = hashlib.sha256(dumps(lasting).encode()).hexdigest()
    earlier = client.search_runs([experiment], max_results=50_000)
    if not any(run.data.tags.get(MARK) == content for run in earlier):
        parent = _summary(client, experiment, result)
        for run, record in zip(result.runs, result.records, strict=True):
            _run(client, experiment, parent, Path(run.record).stem, record)
        client.set_tag(parent, MARK, content)  # last: one that was cut short has no mark
        for run in earlier:
            client.delete_run(run.info.run_id)
    return f"mlflow ui --backend-store-uri {place}"


def _experiment(client: Any, result: StoredResult, folder: Path) -> str:
    name = str(result.record.experiment)
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(name, artifact_location=(folder / "mlflow").resolve().as_uri()))


def _summary(client: Any, experiment: str, result: StoredResult) -> str:
    record = result.record
    tags = {
        "mlflow.runName": record.experiment,
        "ser.command": record.command,
        "ser.config_hash": record.config_hash,
        "ser.stamps": "; ".join(record.stamps),
        "ser.commit": str(record.environment.commit or ""),
    }
    run = str(client.create_run(experiment, tags=tags).info.run_id)
    for name, value in flat(record.config):
        client.log_param(run, _safe(name), value[:LONGEST])
    _log(client, run, values_of_summary(result))
    client.set_terminated(run)
    return run


def _run(client: Any, experiment: str, parent: str, name: str, record: RunRecord) -> None:
    tags = {"mlflow.runName": name, "mlflow.parentRunId": parent, "ser.fold": record.fold}
    run = str(client.create_run(experiment, tags=tags).info.run_id)
    client.log_param(run, "seed", str(record.seed))
    _log(client, run, values_of_run(record))
    client.set_terminated(run)


def _log(client: Any, run: str, values: Values) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = [Metric(f"{part}.{name}", value, now, epoch) for part, name, value, epoch in values]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run, metrics=metrics[start : start + BATCH])


def _safe(name: str) -> str:
    """A name as MLflow takes it: letters, digits, `_-. :/`."""
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in name)
