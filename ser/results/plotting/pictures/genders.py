"""Scores of each gender, with intervals over runs."""

from ser.results.cells import number
from ser.results.metrics.spread import over_groups
from ser.results.plotting.bars import Estimate, Series, bars, interval_note
from ser.results.plotting.style import Figure, title
from ser.results.stored_result import StoredResult, metrics_of_groups

ORDER = 45


def fits(result: StoredResult) -> bool:
    return result.is_summary and len(result.groups.gender) > 1


def _shown(result: StoredResult) -> list[str]:
    """The metrics between 0 and 1 that groups have scores of."""
    return [name for name in metrics_of_groups(result.groups.gender) if name != "RMSE"]


def draw(result: StoredResult, metric: str) -> Figure:
    found = over_groups(result.test, result.classes, "gender")
    series = [Series(m, [Estimate.of(found[g].scores[m]) for g in found]) for m in _shown(result)]
    figure = bars([f"{g} (n {found[g].n})" for g in found], series, "score, 0 to 1" if "UA" in result.metrics else "score")
    title(figure, result.record, f"{interval_note(result.numbers.pooled.main, 'lines')}; n: utterances per run")
    return figure


def words(result: StoredResult, metric: str) -> str:
    groups, name = result.groups, _shown(result)[0]
    gap = f"; gap {groups.gender_gap.of(name):.3f}" if groups.gender_gap else ""
    each = ", ".join(f"{g} {number(v.of(name))} (n {v.n})" for g, v in groups.gender.items())
    return f"{name}: {each}{gap}."
