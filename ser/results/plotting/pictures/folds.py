"""Test score of each fold, with intervals over runs."""

from ser.results.plotting.bars import MANY, Estimate, Series, bars, interval_note
from ser.results.plotting.style import FULL_NAMES, Figure, title
from ser.results.stored_result import StoredResult

ORDER = 55


def fits(result: StoredResult) -> bool:
    return result.is_summary and 1 < len(result.numbers.folds or {}) <= MANY


def draw(result: StoredResult, metric: str) -> Figure:
    folds = result.numbers.folds or {}
    names = [f"{name} (n {fold.n})" for name, fold in folds.items()]
    mean = result.numbers.test.of(metric).mean
    lines = [(mean, "--", f"mean over folds, {mean:.3f}")]
    series = [Series("", [Estimate.of(fold.of(metric)) for fold in folds.values()])]
    figure = bars(names, series, f"{FULL_NAMES[metric]} of the fold's test part", lines)
    title(figure, result.record, f"{interval_note(result.numbers.pooled.main, 'lines')}; n: test utterances")
    return figure


def words(result: StoredResult, metric: str) -> str:
    each = [f"{name} {fold.of(metric).mean:.3f}" for name, fold in (result.numbers.folds or {}).items()]
    return f"{metric.replace('_', ' ')} by fold: {', '.join(each)}."
