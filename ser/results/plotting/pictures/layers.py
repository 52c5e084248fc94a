"""Layers: validation and test score over the layers, and the learned weights as bars; of poolings a point for each."""

import numpy as np
from matplotlib.axes import Axes

from ser.results.cells import runs_interval
from ser.results.plotting.bars import Estimate, draw_points, interval_note, points_note
from ser.results.plotting.style import FULL_NAMES, PALETTE, Figure, title
from ser.results.stored_result import StoredResult
from ser.results.studies.layers import Study

ORDER = 20
LINES = (("validation", PALETTE[4], "s"), ("pooled", PALETTE[0], "o"))
NAMES = {"validation": "validation", "pooled": "test"}


def fits(result: StoredResult) -> bool:
    return isinstance(result.record, Study)


def draw(result: StoredResult, metric: str) -> Figure:
    study: Study = result.record
    if study.over == "pooling":
        return _poolings(study, metric)
    figure = Figure(figsize=(6.4, 5.6 if study.weights else 4.2), layout="constrained")
    if study.weights:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
        _weights(below, study)
    else:
        above = below = figure.add_subplot()
    _curves(above, study, metric)
    numbers = study.numbers
    below.set_xticks(numbers if len(numbers) <= 16 else numbers[:: -(-len(numbers) // 16)])
    below.set_xlabel("layer (0: the input of the first block)")
    handles, labels = above.get_legend_handles_labels()
    if study.weights:
        handles, labels = ([*a, *b] for a, b in zip((handles, labels), below.get_legend_handles_labels(), strict=True))
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    score = study.positions[0].pooled.of(metric)
    title(figure, study, f"test pooled over folds; {interval_note(score, 'bands')}")
    return figure


def words(result: StoredResult, metric: str) -> str:
    study: Study = result.record
    found = [
        f"{p.name} validation {p.validation.of(metric).mean:.3f}, test {p.pooled.of(metric).mean:.3f}" for p in study.everything
    ]
    return f"{metric.replace('_', ' ')}: {'; '.join(found)}. Chosen on validation: {study.chosen}."


def _curves(axes: Axes, study: Study, metric: str) -> None:
    numbers = study.numbers
    for part, colour, marker in LINES:
        scores = [getattr(p, part).of(metric) for p in study.positions]
        means = [s.mean for s in scores]
        axes.plot(numbers, means, color=colour, marker=marker, markersize=5, linewidth=1.5, label=NAMES[part])
        if all(map(runs_interval, scores)):
            low, high = np.array([s.ci_95 for s in scores]).T
            axes.fill_between(numbers, low, high, color=colour, alpha=0.2, linewidth=0)
    best = study.best
    axes.plot(
        [numbers[study.positions.index(best)]],
        [best.pooled.of(metric).mean],
        "o",
        markersize=13,
        markerfacecolor="none",
        markeredgecolor=PALETTE[1],
        markeredgewidth=2,
        label=f"{best.name}: chosen on validation",
    )
    if study.all_layers:
        mean = study.all_layers.pooled.of(metric).mean
        name = "all layers, learned weights" if study.weights else "all layers"
        axes.axhline(mean, color="black", linestyle="--", linewidth=1.2, label=f"{name}: test {mean:.3f}")
    axes.set_ylabel(FULL_NAMES[metric])
    axes.grid(alpha=0.3)


def _weights(axes: Axes, study: Study) -> None:
    weights = study.weights or []
    means = [w.weight.mean for w in weights]
    axes.bar([w.layer for w in weights], means, color=PALETTE[5], width=0.7)
    for w in weights:
        ends = runs_interval(w.weight)
        if ends:
            axes.plot([w.layer] * 2, ends, color="black", linewidth=1.4, solid_capstyle="butt")
    axes.axhline(1 / len(weights), color="black", linestyle=":", linewidth=1, label="equal weights")
    axes.set_ylim(0, None)
    axes.set_ylabel("learned weight")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def _poolings(study: Study, metric: str) -> Figure:
    figure = Figure(figsize=(8.4, 1.4 + 0.36 * len(study.positions)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    names = [f"{p.name} (chosen)" if p.name == study.chosen else p.name for p in study.positions]
    for axes, part in ((left, "validation"), (right, "pooled")):
        values = [Estimate.of(getattr(p, part).of(metric)) for p in study.positions]
        draw_points(axes, names, values, f"{NAMES[part]} {FULL_NAMES[metric]}")
        axes.locator_params(axis="x", nbins=5)
    title(figure, study, points_note(study.positions[0].pooled.of(metric)))
    return figure
