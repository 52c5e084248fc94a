"""Scores of results as tidy rows, one per result, part and metric, and CSV. Pure and light."""

from collections.abc import Iterator, Mapping

from ser.results.blocks import ScoreRow
from ser.results.cells import csv_text, runs_interval
from ser.results.records.evaluation import PROBABILITIES, Evaluation, OutputEvaluation
from ser.results.records.model import FewshotSummary, Summary
from ser.results.records.numbers import Described, Metrics
from ser.results.studies import StudyRecord

SPLITS = ("validation", "test", "pooled")
SUMMARY_COLUMNS = ("experiment", "percentage", "part", "metric", "mean", "std", "ci_95_low", "ci_95_high", "n", "values")
Scores = dict[str, Described]


def score_rows(record: object) -> list[ScoreRow]:
    """A row for each split and metric of a result, of each of a study's variants, methods or cells."""
    found = []
    for of, split, metric, value in _values(record):
        low, high = runs_interval(value) or (None, None)
        numbers = (value.mean, value.std, low, high, value.n)
        found.append(ScoreRow(str(record.experiment), of, split, metric, *numbers))  # type: ignore[attr-defined]
    return found


def over_speakers(record: object) -> list[tuple[float | None, float | None]]:
    """The ends of the 95 % interval over speakers of each of `score_rows`; None where it has none."""
    return [getattr(value, "ci_95_speakers", None) or (None, None) for *_, value in _values(record)]


def _values(record: object) -> Iterator[tuple[str, str, str, Described]]:
    for of, splits in _parts(record):
        yield from ((of, split, metric, value) for split, scores in splits.items() for metric, value in scores.items())


def _parts(record: object) -> Iterator[tuple[str, dict[str, Scores]]]:
    """Everything that has scores, by name: split -> metric -> value."""
    if isinstance(record, Evaluation):
        yield from _of_evaluation(record)
    elif isinstance(record, OutputEvaluation):
        for name, part in (record.parts | record.outputs).items():
            yield f"{record.data.dataset}, {name}", _scores({"pooled": part.scores})
    elif isinstance(record, StudyRecord):
        yield from ((of, _scores(parts)) for of, parts in record.parts())
    elif isinstance(record, FewshotSummary):
        if record.source:
            zero = record.source.zero_shot
            yield "no target data", _scores({"test": zero.test, "pooled": zero.pooled})
        yield from ((of, _scores({s: getattr(part, s) for s in SPLITS})) for of, part in record.percentages.items())
    elif isinstance(record, Summary):
        yield "", _scores({s: getattr(record, s) for s in SPLITS})


def _scores(parts: Mapping[str, Metrics | None]) -> dict[str, Scores]:
    return {split: dict(metrics.items()) for split, metrics in parts.items() if metrics}


def _of_evaluation(record: Evaluation) -> Iterator[tuple[str, dict[str, Scores]]]:
    for name, part in record.parts.items():
        yield f"{record.data.dataset}, {name}", _scores({"pooled": part.scores})
        for state, found in part.probabilities.states.items():
            yield f"{record.data.dataset}, {name}, {state}", {"pooled": {m: getattr(found, m) for m in PROBABILITIES}}


def scores_csv(record: object) -> str:
    """The scores of a result as `ser results show --format csv` gives them.

    Of a summary with the values of the runs; of a study that has a table of its own, that table; of all else tidy rows.
    """
    if isinstance(record, (Summary, FewshotSummary)):
        return _summary_csv(record)
    own = record.as_csv() if isinstance(record, StudyRecord) else None
    return own or csv_text(ScoreRow._fields, score_rows(record))


def _summary_csv(record: Summary | FewshotSummary) -> str:
    rows = []
    for of, splits in _parts(record):
        amount = "0" if of == "no target data" else of.rstrip("%")
        for split, name, m in ((s, n, v) for s, scores in splits.items() for n, v in scores.items()):
            low, high = (m.ci_95 if len(set(m.values)) > 1 else None) or (None, None)
            values = " ".join(map(str, m.values))
            rows.append((record.experiment, amount, split, name, m.mean, m.std, low, high, m.n, values))
    return csv_text(SUMMARY_COLUMNS, rows)
