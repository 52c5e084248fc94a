"""Precision, recall and F1 of each class, with intervals over runs."""

from matplotlib.figure import Figure

from ser.results.metrics.spread import SCORES, over_classes
from ser.results.plotting.bars import Series, bars, interval_note
from ser.results.plotting.style import title
from ser.results.records.result import Source

ORDER = 40


def fits(source: Source) -> bool:
    return source.is_summary


def draw(source: Source, metric: str) -> Figure:
    found = over_classes(source.test, source.classes)
    series = [Series(name, [found[c][name] for c in source.classes]) for name in SCORES]
    n = {c: source.part["per_class"][c]["support"] for c in source.classes}
    figure = bars([f"{c} (n {n[c]:g})" for c in source.classes], series, "score of the class, 0 to 1")
    runs = source.part["confusion_matrix"]["runs"]
    title(figure, source.result, f"mean of each run's pooled test folds; lines: {interval_note(runs)}; n: utterances")
    return figure


def words(source: Source, metric: str) -> str:
    rows = source.part["per_class"]
    order = sorted((c for c in rows if rows[c]["F1"] is not None), key=lambda c: -float(rows[c]["F1"]))
    return "F1 from best to worst: " + ", ".join(f"{c} {rows[c]['F1']:.3f}" for c in order) + "."
