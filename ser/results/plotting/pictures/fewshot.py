"""Score over the amount of labelled target data, one line per method, with the zero-shot line."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from ser.results.cells import many, runs_interval
from ser.results.plotting.style import FULL_NAMES, PALETTE, Figure, title
from ser.results.records.find import fact_of
from ser.results.records.model import AmountNumbers, Spread
from ser.results.records.names import amount_value
from ser.results.records.numbers import RANGES, Metrics
from ser.results.stored_result import StoredResult
from ser.results.studies.fewshot import Point, Study

ORDER = 20
MARKERS = "osD^vPX"
ZERO = "black"  # the zero-shot line: no method has its colour
Curves = dict[str, dict[str, Point | AmountNumbers]]  # by name in the legend, then by amount


def fits(result: StoredResult) -> bool:
    return isinstance(result.record, Study) or result.amount is not None


def draw(result: StoredResult, metric: str) -> Figure:
    """Draw a metric over the amount of target data, with its interval over three runs or more, and the zero-shot line.

    Of UA chance is drawn too. Percentages and shots have a panel each. Points of several methods at one amount stand side by
    side.
    """
    methods, zero = methods_of(result), zero_shot(result)
    points = next(iter(methods.values()))
    panels = [share for share in (False, True) if any(amount_value(name)[0] is share for name in points)]
    figure = Figure(figsize=(1.2 + 5.4 * len(panels), 4.8), layout="constrained")
    shared: Axes | None = None
    for number, share in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), number, sharey=shared)
        shared = shared or axes
        _panel(axes, methods, share, metric)
        if zero is not None:
            mean = zero.of(metric).mean
            axes.axhline(mean, color=ZERO, linestyle="--", linewidth=1.2, label=f"no target data (zero-shot), {mean:.3f}")
        if metric == "UA":
            chance = chance_of(result)
            axes.axhline(chance, color=ZERO, linestyle=":", linewidth=1.2, label=f"chance, {chance:.3f}")
        if number == 1:
            axes.set_ylabel(FULL_NAMES[metric])
        else:
            axes.tick_params(labelleft=False)
    if shared and metric not in RANGES:  # an interval of Student's t over few runs may go far beyond
        low, high = shared.get_ylim()
        shared.set_ylim(max(low, -0.02), min(high, 1.02))
    handles, labels = shared.get_legend_handles_labels() if shared else ([], [])
    figure.legend(handles, labels, loc="outside lower center", ncols=min(1 + len(panels), len(labels)), frameon=False)
    first = next(iter(points.values())).pooled.of(metric)
    interval = ", 95 % intervals over runs" if runs_interval(first) else ""
    title(figure, result.record, f"{many(first.n, 'run')}{interval}, pooled over folds")
    return figure


def words(result: StoredResult, metric: str) -> str:
    zero = zero_shot(result)
    found = [] if zero is None else [f"no target data {zero.of(metric).mean:.3f}"]
    for name, curve in methods_of(result).items():
        found.append(f"{name}: " + ", ".join(f"{amount} {p.pooled.of(metric).mean:.3f}" for amount, p in curve.items()))
    found += [f"chance {chance_of(result):.3f}"] if metric == "UA" else []
    return f"{metric.replace('_', ' ')}. " + "; ".join(found) + "."


def chance_of(result: StoredResult) -> float:
    """The UA of a guess; of a study by the classes that the target has."""
    if result.is_summary:
        return result.chance
    classes = fact_of(result.record, "classes")  # counted; of a source and a target the names that both have
    return 1 / (sum(n > 0 for n in classes.values()) if isinstance(classes, dict) else len(classes))


def zero_shot(result: StoredResult) -> Metrics | None:
    """The scores of the source model itself; None without one."""
    found: Metrics | None = result.record.source.zero_shot.pooled if result.record.source else None
    return found


def methods_of(result: StoredResult) -> Curves:
    """The curves of a few-shot study; of a summary its only one."""
    if not result.is_summary:
        return {m.name: {p.amount: p for p in m.curve} for m in result.record.methods}
    name = "source model + target data" if result.record.source else "target data"
    return {name: dict(result.record.percentages)}


def _panel(axes: Axes, methods: Curves, share: bool, metric: str) -> None:
    """The lines of one kind of amount."""
    first = {name: p for name, p in next(iter(methods.values())).items() if amount_value(name)[0] is share}
    amounts = np.array([amount_value(name)[1] for name in first])
    logarithmic = len(amounts) > 1 and max(amounts) / min(amounts) > 4
    if logarithmic:
        axes.set_xscale("log")
    for number, (name, points) in enumerate(methods.items()):
        scores = [points[amount].pooled.of(metric) for amount in first]
        place = _aside(amounts, number - (len(methods) - 1) / 2, logarithmic)
        style = {"color": PALETTE[number % len(PALETTE)], "marker": MARKERS[number % len(MARKERS)], "label": name}
        mean = np.array([s.mean for s in scores])
        axes.plot(place, mean, markersize=5, linewidth=1.5, **style)  # type: ignore[arg-type]
        if all(map(runs_interval, scores)):
            low, high = np.array([s.ci_95 for s in scores]).T
            axes.errorbar(place, mean, [mean - low, high - mean], color=style["color"], fmt="none", capsize=3, elinewidth=1)
    unit = "%" if share else ""
    sizes = [f"{n.mean:.0f}" if isinstance(n, Spread) else str(n) for n in (p.n_samples for p in first.values())]
    axes.set_xticks(amounts, [f"{a:g} {unit}\n{size}" for a, size in zip(amounts, sizes, strict=True)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("labelled target data (share and utterances)" if share else "shots per class (and utterances in all)")
    axes.grid(alpha=0.3)


def _aside(amounts: np.ndarray[Any, Any], step: float, logarithmic: bool) -> np.ndarray[Any, Any]:
    """Places a little beside the amounts, so that intervals of several methods do not lie over each other."""
    if len(amounts) < 2:
        return amounts + 0.02 * step * max(float(amounts[0]), 1)
    if logarithmic:
        return np.asarray(amounts * (max(amounts) / min(amounts)) ** (0.011 * step))
    return np.asarray(amounts + 0.011 * step * (max(amounts) - min(amounts)))
