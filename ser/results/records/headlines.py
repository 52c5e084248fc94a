"""What the list of results shows of a record: of an experiment its pooled scores, of a study those that stand for it. Light."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ser.errors import ConfigError
from ser.jsonfile import check, read_object
from ser.results.records.find import dataset, fact, verb
from ser.results.records.kinds import studies
from ser.results.records.names import METRICS, SUMMARY_SCHEMA, amount_value

EXPERIMENT, STUDY = "experiment", "study"
_OPENING = f'{{\n  "schema": "{SUMMARY_SCHEMA}",'
_NEEDED = {"schema", "experiment", "command", "config", "data", "stamps", "time", "pooled", "percentages"}
_RUN = re.compile(r'"run": (\d+)')


@dataclass(frozen=True)
class Headline:
    """One line of the list of results.

    Attributes:
        path: the record's file.
        kind: `experiment`, or `study`: made of several.
        command: the command's name.
        runs: how many; of a study those of the experiment that the scores are of.
        at: what the scores are of: `pooled`; for few-shot the largest amount; for a study a variant, method or mean.
        scores: metric -> mean over runs.
        started: ISO 8601, UTC.
        features: names of the stores, joined by `+`.
        stamps: how many there are.
    """

    path: Path
    kind: str
    experiment: str
    command: str
    dataset: str
    head: str
    scheme: str
    protocol: str
    runs: int
    at: str
    scores: dict[str, float]
    started: str
    features: str
    stamps: int

    def facts(self) -> dict[str, Any]:
        """For JSON and CSV: the file by its name, a column for each metric."""
        found = {k: v for k, v in asdict(self).items() if k != "scores"}
        return {**found, "path": self.path.name, **{name: self.scores.get(name) for name in METRICS}}


def read_headline(path: Path) -> Headline | None:
    """What the list shows of a file; None for JSON of another kind.

    Raises:
        ConfigError: it is damaged.
    """
    record = _parts_of_summary(path) or read_object(path, "summary")
    schema = record.get("schema")
    if schema != SUMMARY_SCHEMA and schema not in studies():
        return None
    try:
        if schema != SUMMARY_SCHEMA:
            return _line(path, record, *check(record, studies()[schema], path).standing())
        at, metrics = _of_summary(record)
        scores = {name: float(metrics[name]["mean"]) for name in METRICS}
        return _line(path, record, at, scores, len({run["run"] for run in record["runs"]}))
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, StopIteration) as error:
        raise ConfigError(f"{path} is a damaged summary: {type(error).__name__} {error}") from None


def _parts_of_summary(path: Path) -> dict[str, Any] | None:
    """The parts of an experiment's summary that the list needs, a fifth of it; None of another file, or if in doubt.

    As summaries are written, a line that begins with two spaces and a quotation mark opens a part: strings of JSON have no
    line breaks, and what is deeper is further in. A file that ends before its time is in doubt.
    """
    try:
        content = path.read_bytes().decode()
    except (OSError, ValueError):
        return None
    if not content.startswith(_OPENING) or not content.endswith("\n}\n"):
        return None
    record: dict[str, Any] = {}
    for part in content[1:-2].split('\n  "')[1:]:
        name, _, value = part.partition('": ')
        if name == "runs":
            record["runs"] = [{"run": run} for run in set(_RUN.findall(value))]
        elif name in _NEEDED:
            try:
                record[name] = json.loads(value.rstrip().rstrip(","))
            except ValueError:
                return None
    return record


def _line(path: Path, record: dict[str, Any], at: str, scores: dict[str, float], runs: int) -> Headline:
    return Headline(
        path=path,
        kind=EXPERIMENT if record["schema"] == SUMMARY_SCHEMA else STUDY,
        experiment=record["experiment"],
        command=verb(record["command"]),
        dataset=dataset(record),
        head=str(fact(record, "head") or ""),
        scheme=str(fact(record, "scheme") or ""),
        protocol=str(fact(record, "protocol") or ""),
        runs=runs,
        at=at,
        scores=scores,
        started=record["time"]["started"],
        features="+".join(fact(record, "stores") or ()),
        stamps=len(record["stamps"]),
    )


def _of_summary(record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if "percentages" not in record:
        return "pooled", record["pooled"]
    at = max(record["percentages"], key=amount_value)
    return at, record["percentages"][at]["pooled"]
