"""Test score of each fold, with intervals over runs."""

from matplotlib.figure import Figure

from ser.results.plotting.bars import Series, bars, interval_note
from ser.results.plotting.style import FULL_NAMES, title
from ser.results.records.result import Source

ORDER = 55
MANY = 40  # of more, their picture would be longer than a page


def fits(source: Source) -> bool:
    return source.is_summary and 1 < len(source.part.get("folds", {})) <= MANY


def draw(source: Source, metric: str) -> Figure:
    folds = source.part["folds"]
    names = [f"{name} (n {fold['n']})" for name, fold in folds.items()]
    mean = source.part["test"][metric]["mean"]
    lines = [(mean, "--", f"mean over folds, {mean:.3f}")]
    series = [Series("", [fold[metric] for fold in folds.values()])]
    figure = bars(names, series, f"{FULL_NAMES[metric]} of the fold's test part", lines)
    runs = source.part["confusion_matrix"]["runs"]
    title(figure, source.result, f"lines: {interval_note(runs)}; n: test utterances")
    return figure


def words(source: Source, metric: str) -> str:
    each = [f"{name} {fold[metric]['mean']:.3f}" for name, fold in source.part["folds"].items()]
    return f"{metric.replace('_', ' ')} by fold: {', '.join(each)}."
