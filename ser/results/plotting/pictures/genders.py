"""UA of each gender, with intervals over runs."""

from matplotlib.figure import Figure

from ser.results.metrics.spread import over_groups
from ser.results.plotting.bars import Estimate, Series, bars, interval_note
from ser.results.plotting.style import title
from ser.results.records.result import Result

ORDER = 45


def fits(result: Result) -> bool:
    return result.is_summary and len(result.groups.gender) > 1


def draw(result: Result, metric: str) -> Figure:
    found = over_groups(result.test, result.classes, "gender")
    series = [Series(m, [Estimate.of(getattr(found[g], m)) for g in found]) for m in ("UA", "WA")]
    figure = bars([f"{g} (n {found[g].n})" for g in found], series, "score, 0 to 1")
    runs = result.numbers.confusion_matrix.runs
    title(figure, result.record, f"lines: {interval_note(runs or 1)}; n: utterances per run")
    return figure


def words(result: Result, metric: str) -> str:
    groups = result.groups
    gap = f"; gap {groups.gender_gap.UA:.3f}" if groups.gender_gap else ""
    each = ", ".join(f"{g} {v.UA:.3f} (n {v.n})" for g, v in groups.gender.items())
    return f"UA: {each}{gap}."
