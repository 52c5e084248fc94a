"""Headlines: the lines of the list of results. An experiment has its pooled scores, a study those that stand for it. Light."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from msgspec import UNSET, MsgspecError, Struct, UnsetType, json

from ser.errors import ConfigError
from ser.jsonfile import decode, read_limited
from ser.results.records.find import dataset_of, fact_of, verb
from ser.results.records.kinds import beginning_of, studies
from ser.results.records.names import METRICS, SUMMARY_SCHEMA, amount_value

EXPERIMENT, STUDY = "experiment", "study"


@dataclass(frozen=True)
class Headline:
    """One line of the list of results.

    Attributes:
        path: the record's file.
        kind: `experiment`, or `study`: made of several.
        command: the command's name.
        runs: their number; of a study, that of the experiment with the scores.
        at: the part with the scores: `pooled`; of few-shot the largest amount; of a study a variant, method or mean.
        scores: metric -> mean over runs.
        started: ISO 8601, UTC.
        features: names of the stores, joined by `+`.
        stamps: their number.
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
        """The columns of JSON and CSV: the file by its name, a column for each metric."""
        found = {k: v for k, v in asdict(self).items() if k != "scores"}
        return {**found, "path": self.path.name, **{name: self.scores.get(name) for name in METRICS}}


class _Mean(Struct):
    mean: float


class _Pooled(Struct):
    pooled: dict[str, _Mean]


class _Run(Struct):
    run: int


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
    pooled: dict[str, _Mean] | UnsetType = UNSET
    percentages: dict[str, _Pooled] | UnsetType = UNSET


def read_headline(path: Path) -> Headline | None:
    """Read the line of a file in the list; None for JSON of another kind.

    Raises:
        ConfigError: it is damaged.
    """
    content = read_limited(path, "summary")
    try:
        record = _summary(content, path)
        if record is not None:
            at, metrics = _scores_of(record)
            scores = {name: metrics[name].mean for name in METRICS}
            return _line(path, EXPERIMENT, record, at, scores, len({run.run for run in record.runs}))
        schema = str(beginning_of(content, "summary", path).schema)
        if schema not in studies():
            return None
        study = decode(content, studies()[schema], path)
        return _line(path, STUDY, study, *study.standing())
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, StopIteration) as error:
        raise ConfigError(f"{path} is a damaged summary: {type(error).__name__} {error}") from None


def _summary(content: bytes, path: Path) -> ListedSummary | None:
    """Read a summary; None for a record of another kind. Nearly all are summaries, so nothing is read before."""
    try:
        return json.decode(content, type=ListedSummary)
    except MsgspecError:
        if beginning_of(content, "summary", path).schema == SUMMARY_SCHEMA:
            return decode(content, ListedSummary, path)
    return None


def _scores_of(record: ListedSummary) -> tuple[str, dict[str, _Mean]]:
    if not record.percentages:
        return "pooled", record.pooled or {}
    at = max(record.percentages, key=amount_value)
    return at, record.percentages[at].pooled


def _line(path: Path, kind: str, record: Any, at: str, scores: dict[str, float], runs: int) -> Headline:
    return Headline(
        path=path,
        kind=kind,
        experiment=record.experiment,
        command=verb(record.command),
        dataset=dataset_of(record),
        head=str(fact_of(record, "head") or ""),
        scheme=str(fact_of(record, "scheme") or ""),
        protocol=str(fact_of(record, "protocol") or ""),
        runs=runs,
        at=at,
        scores=scores,
        started=record.time.started,
        features="+".join(fact_of(record, "stores") or ()),
        stamps=len(record.stamps),
    )
