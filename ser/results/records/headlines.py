"""What the list of results shows of a record: of an experiment its pooled scores, of a study those that stand for it. Light."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ser.errors import ConfigError
from ser.jsonfile import read_object
from ser.results.records.find import dataset, fact, verb
from ser.results.records.names import (
    ABLATION_SCHEMA,
    FEWSHOT_SCHEMA,
    MATRIX_SCHEMA,
    METRICS,
    SEARCH_SCHEMA,
    SUMMARY_SCHEMA,
    TRANSFER_SCHEMA,
    amount_value,
)

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
    of = _SCORES.get(str(record.get("schema")))
    if of is None:
        return None
    try:
        return _line(path, record, *of(record))
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


def _line(path: Path, record: dict[str, Any], at: str, metrics: dict[str, Any]) -> Headline:
    some = record["schema"] == SUMMARY_SCHEMA
    return Headline(
        path=path,
        kind=EXPERIMENT if some else STUDY,
        experiment=record["experiment"],
        command=verb(record["command"]),
        dataset=dataset(record),
        head=str(fact(record, "head") or ""),
        scheme=str(fact(record, "scheme") or ""),
        protocol=str(fact(record, "protocol") or ""),
        runs=len({run["run"] for run in record["runs"]}) if some else int(metrics["UA"]["n"]),
        at=at,
        scores={name: float(metrics[name]["mean"]) for name in METRICS},
        started=record["time"]["started"],
        features="+".join(fact(record, "stores") or ()),
        stamps=len(record["stamps"]),
    )


def _of_summary(record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if "percentages" not in record:
        return "pooled", record["pooled"]
    at = max(record["percentages"], key=amount_value)
    return at, record["percentages"][at]["pooled"]


def _of_ablation(record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return record["full"], next(v["pooled"] for v in record["variants"] if v["name"] == record["full"])


def _of_search(record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "chosen", record["chosen"]["pooled"]


def _of_transfer(record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The only method there is, or the one whose lambda was chosen; of several, the source's head alone."""
    methods = [v for v in record["variants"] if v["method"] not in ("none", "oracle")]
    chosen = [v for v in methods if v.get("chosen")] or methods
    one = chosen[0] if len(chosen) == 1 else next(v for v in record["variants"] if v["method"] == "none")
    return one["name"], one["pooled"]


def _of_matrix(record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The mean over all sources of their means over the other corpora."""
    rows = list(record["sources"].values())
    means = {m: {"mean": sum(r[m]["mean"] for r in rows) / len(rows), "n": rows[0][m]["n"]} for m in METRICS}
    return "across corpora", means


def _of_fewshot(record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The reference method at the largest amount."""
    method = next(m for m in record["methods"] if m["name"] == record["reference"])
    point = max(method["curve"], key=lambda p: amount_value(p["amount"]))
    return f"{method['name']}, {point['amount']}", point["pooled"]


_SCORES: dict[str, Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]] = {
    SUMMARY_SCHEMA: _of_summary,
    ABLATION_SCHEMA: _of_ablation,
    SEARCH_SCHEMA: _of_search,
    TRANSFER_SCHEMA: _of_transfer,
    MATRIX_SCHEMA: _of_matrix,
    FEWSHOT_SCHEMA: _of_fewshot,
}
