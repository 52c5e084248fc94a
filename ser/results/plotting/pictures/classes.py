"""Precision, recall and F1 of each class, with intervals over runs."""

from ser.results.metrics.spread import SCORES, over_classes
from ser.results.plotting.bars import Estimate, Series, bars, interval_note
from ser.results.plotting.style import Figure, title
from ser.results.stored_result import StoredResult

ORDER = 40


def fits(result: StoredResult) -> bool:
    return result.is_summary and not result.numbers.outputs


def draw(result: StoredResult, metric: str) -> Figure:
    found = over_classes(result.test, result.classes)
    series = [Series(name, [Estimate.of(found[c][name]) for c in result.classes]) for name in SCORES]
    n = {c: (result.numbers.per_class or {})[c].support for c in result.classes}
    figure = bars([f"{c} (n {n[c]:g})" for c in result.classes], series, "score of the class, 0 to 1")
    title(
        figure,
        result.record,
        f"mean of each run's pooled test folds; {interval_note(result.numbers.pooled.main, 'lines')}; n: utterances",
    )
    return figure


def words(result: StoredResult, metric: str) -> str:
    rows = result.numbers.per_class or {}
    order = sorted((c for c in rows if rows[c].F1 is not None), key=lambda c: -(rows[c].F1 or 0.0))
    return "F1 from best to worst: " + ", ".join(f"{c} {rows[c].F1:.3f}" for c in order) + "."
