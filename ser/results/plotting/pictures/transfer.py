"""Transfer: the score of each variant beside source only and target only, and its gain over source only."""

from ser.results.cells import head_of, number
from ser.results.plotting.bars import Estimate, draw_points, points_note
from ser.results.plotting.style import FULL_NAMES, Figure, title
from ser.results.stored_result import StoredResult
from ser.results.studies import transfer

ORDER = 20


def fits(result: StoredResult) -> bool:
    return isinstance(result.record, transfer.Study)


def draw(result: StoredResult, metric: str) -> Figure:
    variants, gains = result.record.variants, result.record.comparisons
    figure = Figure(figsize=(5.6, 2.6 + 0.36 * (len(variants) + len(gains))), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[len(variants) + 1, len(gains) + 1])
    names = [v.name + (" (chosen)" if v.chosen else "") for v in variants]
    draw_points(
        above, names, [Estimate.of(v.pooled.of(metric)) for v in variants], f"{FULL_NAMES[metric]} on the target's test folds"
    )
    values = [Estimate(c.difference, c.ci_95) for c in gains]
    draw_points(below, [c.variant for c in gains], values, f"gain in {_gained(result)} over source only", zero=0)
    title(
        figure,
        result.record,
        f"pooled over folds; above {points_note(variants[0].pooled.of(metric))}; below 95 % intervals of paired gains",
    )
    return figure


def words(result: StoredResult, metric: str) -> str:
    found = [f"{v.name} {number(v.pooled.of(metric).mean)}" for v in result.record.variants]
    gains = [f"{c.variant} {c.difference:+.3f} ({c.verdict})" for c in result.record.comparisons]
    return f"{metric.replace('_', ' ')}: {', '.join(found)}. Gains in {_gained(result)}: {'; '.join(gains)}."


def _gained(result: StoredResult) -> str:
    """The metric that gains are tested in: the one that stands for a result of the target."""
    return head_of(result.metrics[0])
