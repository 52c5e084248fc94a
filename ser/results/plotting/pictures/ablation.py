"""Ablation: each variant's score with its interval over runs."""

from matplotlib.figure import Figure

from ser.results.plotting.bars import points, points_note
from ser.results.plotting.style import FULL_NAMES, title
from ser.results.records.names import ABLATION_SCHEMA
from ser.results.records.result import Source

ORDER = 20


def fits(source: Source) -> bool:
    return source.schema == ABLATION_SCHEMA


def draw(source: Source, metric: str) -> Figure:
    variants = source.result["variants"]
    figure = points([v["name"] for v in variants], [v["pooled"][metric] for v in variants], FULL_NAMES[metric])
    runs = variants[0]["pooled"][metric]["n"]
    title(figure, source.result, f"pooled over folds; {points_note(runs)}")
    return figure


def words(source: Source, metric: str) -> str:
    found = [f"{v['name']} {v['pooled'][metric]['mean']:.3f}" for v in source.result["variants"]]
    return f"{metric.replace('_', ' ')}: {', '.join(found)}."
