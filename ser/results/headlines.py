"""Headlines: the lines of the list of results. An experiment has its pooled scores, a study those that stand for it. Light."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import UNSET, MsgspecError, Struct, UnsetType, json
from msgspec.structs import asdict

from ser.errors import ConfigError
from ser.jsonfile import Count, decode, read_limited
from ser.metadata.targets import has_classes
from ser.results.records.find import dataset_of, stores_of, verb, word_of
from ser.results.records.kinds import beginning_of
from ser.results.records.model import Amount
from ser.results.records.names import METRICS, SUMMARY_SCHEMA, amount_value
from ser.results.studies import studies

EXPERIMENT, STUDY = "experiment", "study"
VALIDATION = "validation"  # the column, and the beginning of the columns of JSON and CSV


class Line(Struct, frozen=True, array_like=True):
    """One line of the list of results, as the index keeps it: without its file.

    Attributes:
        kind: `experiment`, or `study`: made of several.
        command: the command's name.
        scheme: the label scheme; "" where heads learn dimensions, in which none has a part.
        target: what heads learn, as `--target` of ser fit.
        runs: their number; of a study, that of the experiment with the scores.
        at: the part with the scores: `pooled`; of few-shot the largest amount; of a study a variant, method or mean.
        scores: metric -> mean over runs.
        validation: the same on validation data; {} where there are none.
        started: ISO 8601, UTC.
        features: names of the stores, joined by `+`.
        stamps: their number.
    """

    kind: str
    experiment: str
    command: str
    dataset: str
    head: str
    scheme: str
    target: str
    protocol: str
    runs: int
    at: str
    scores: dict[str, float]
    validation: dict[str, float]
    started: str
    features: str
    stamps: int


class Headline(Line, frozen=True):
    """One line of the list of results, with the record's file."""

    path: Path

    def facts(self) -> dict[str, Any]:
        """The columns of JSON and CSV: the file by its name, a column for each metric, those of classes always."""
        found = {k: v for k, v in asdict(self).items() if k not in ("path", "scores", "validation")}
        names = list(dict.fromkeys((*METRICS, *self.scores)))
        validation = {f"{VALIDATION}_{name}": self.validation.get(name) for name in names}
        return {"path": self.path.name, **found, **{name: self.scores.get(name) for name in names}, **validation}


class _Mean(Struct):
    mean: float


Means = dict[str, _Mean]  # by metric


class _Amount(Struct):
    pooled: Means
    validation: Means | UnsetType | None = None


class _Run(Struct):
    run: Count


class _Time(Struct):
    started: str


class ListedSummary(Struct):
    """The fields of an experiment's summary that the list needs. Reading these alone takes a fifth of the time."""

    schema: Literal["ser.summary/1"]
    experiment: str
    command: str
    config: dict[str, Any]
    data: dict[str, Any]
    stamps: list[str]
    time: _Time
    runs: list[_Run]
    pooled: Means | UnsetType = UNSET
    validation: Means | UnsetType | None = None
    percentages: dict[Amount, _Amount] | UnsetType = UNSET


def read_headline(path: Path) -> Headline | None:
    """Read the line of a file in the list; None for JSON of another kind. A damaged file is a ConfigError."""
    content = read_limited(path, "summary")
    record = _summary(content, path)
    if record is not None:
        at, *parts = _scores_of(record, path)
        scores, validation = ({name: metric.mean for name, metric in part.items()} for part in parts)
        return _line(path, EXPERIMENT, record, at, scores, len({run.run for run in record.runs}), validation)
    schema = str(beginning_of(content, "summary", path).schema)
    if schema not in studies():
        return None
    study = decode(content, studies()[schema], path)
    return _line(path, STUDY, study, *study.standing())


def _summary(content: bytes, path: Path) -> ListedSummary | None:
    """Read a summary; None for a record of another kind. Nearly all are summaries, so nothing is read before."""
    try:
        return json.decode(content, type=ListedSummary)
    except (MsgspecError, UnicodeDecodeError, RecursionError):
        if beginning_of(content, "summary", path).schema == SUMMARY_SCHEMA:
            return decode(content, ListedSummary, path)
    return None


def _scores_of(record: ListedSummary, path: Path) -> tuple[str, Means, Means]:
    """The part with the scores, pooled and validation."""
    if record.percentages:
        at = max(record.percentages, key=amount_value)
        return at, record.percentages[at].pooled, record.percentages[at].validation or {}
    if record.pooled is UNSET:
        raise ConfigError(f"{path} has no scores", expected="pooled, or percentages")
    return "pooled", record.pooled, record.validation or {}


def _line(
    path: Path, kind: str, record: Any, at: str, scores: dict[str, float], runs: int, validation: Mapping[str, float]
) -> Headline:
    target = word_of(record, "learns") or "emotion"
    return Headline(
        path=path,
        kind=kind,
        experiment=record.experiment,
        command=verb(record.command),
        dataset=dataset_of(record),
        head=word_of(record, "head"),
        scheme=word_of(record, "scheme") if has_classes(target) else "",
        target=target,
        protocol=word_of(record, "protocol"),
        runs=runs,
        at=at,
        scores=scores,
        validation=dict(validation),
        started=record.time.started,
        features="+".join(stores_of(record)),
        stamps=len(record.stamps),
    )
