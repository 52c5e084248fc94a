"""Ablation: each variant's score with its interval over runs."""

from ser.results.plotting.bars import Estimate, points, points_note
from ser.results.plotting.style import FULL_NAMES, Figure, title
from ser.results.stored_result import StoredResult
from ser.results.studies import ablation

ORDER = 20


def fits(result: StoredResult) -> bool:
    return isinstance(result.record, ablation.Study)


def draw(result: StoredResult, metric: str) -> Figure:
    variants = result.record.variants
    values = [Estimate.of(v.pooled.of(metric)) for v in variants]
    figure = points([v.name for v in variants], values, FULL_NAMES[metric])
    title(figure, result.record, f"pooled over folds; {points_note(variants[0].pooled.of(metric))}")
    return figure


def words(result: StoredResult, metric: str) -> str:
    found = [f"{v.name} {v.pooled.of(metric).mean:.3f}" for v in result.record.variants]
    return f"{metric.replace('_', ' ')}: {', '.join(found)}."
