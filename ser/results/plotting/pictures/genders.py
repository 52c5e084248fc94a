"""UA of each gender, with intervals over runs."""

from matplotlib.figure import Figure

from ser.results.metrics.spread import over_groups
from ser.results.plotting.bars import Series, bars, interval_note
from ser.results.plotting.style import title
from ser.results.records.result import Source

ORDER = 45


def fits(source: Source) -> bool:
    return source.is_summary and len(source.part["groups"]["gender"]) > 1


def draw(source: Source, metric: str) -> Figure:
    found = over_groups(source.test, source.classes, "gender")
    series = [Series(m, [found[g][m] for g in found]) for m in ("UA", "WA")]
    figure = bars([f"{g} (n {found[g]['n']})" for g in found], series, "score, 0 to 1")
    runs = source.part["confusion_matrix"]["runs"]
    title(figure, source.result, f"lines: {interval_note(runs)}; n: utterances a run")
    return figure


def words(source: Source, metric: str) -> str:
    groups = source.part["groups"]
    each = ", ".join(f"{g} {v['UA']:.3f} (n {v['n']})" for g, v in groups["gender"].items())
    return f"UA: {each}; gap {groups['gender_gap']['UA']:.3f}."
