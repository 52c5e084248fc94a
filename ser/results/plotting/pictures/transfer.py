"""Transfer: each way's score beside source only and target only, and its gain over source only."""

from matplotlib.figure import Figure

from ser.results.plotting.bars import draw_points, points_note
from ser.results.plotting.style import FULL_NAMES, title
from ser.results.records.names import TRANSFER_SCHEMA
from ser.results.records.result import Source
from ser.results.report.tables import number

ORDER = 20


def fits(source: Source) -> bool:
    return source.schema == TRANSFER_SCHEMA


def draw(source: Source, metric: str) -> Figure:
    variants, gains = source.result["variants"], source.result["comparisons"]
    figure = Figure(figsize=(5.6, 2.6 + 0.36 * (len(variants) + len(gains))), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[len(variants) + 1, len(gains) + 1])
    names = [v["name"] + (" (chosen)" if v.get("chosen") else "") for v in variants]
    draw_points(
        above, names, [v["pooled"][metric] for v in variants], f"{FULL_NAMES[metric]} on the target's test folds"
    )
    values = [{"mean": c["difference"], "ci_95": c["ci_95"]} for c in gains]
    draw_points(below, [c["variant"] for c in gains], values, "gain in UA over source only", zero=0)
    runs = variants[0]["pooled"][metric]["n"]
    title(figure, source.result, f"pooled over folds; above {points_note(runs)}; below 95 % intervals of paired gains")
    return figure


def words(source: Source, metric: str) -> str:
    found = [f"{v['name']} {number(v['pooled'][metric]['mean'])}" for v in source.result["variants"]]
    gains = [f"{c['variant']} {c['difference']:+.3f} ({c['verdict']})" for c in source.result["comparisons"]]
    return f"{metric.replace('_', ' ')}: {', '.join(found)}. Gains in UA: {'; '.join(gains)}."
