"""Score over the amount of labelled target data, one line per method, with the zero-shot line."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ser.results.plotting.bars import FEW_RUNS
from ser.results.plotting.style import FULL_NAMES, PALETTE, runs_of, title
from ser.results.records.find import fact
from ser.results.records.names import FEWSHOT_SCHEMA, amount_value
from ser.results.records.result import Source

ORDER = 20
MARKERS = "osD^vPX"
ZERO = "black"  # the zero-shot line: no method has its colour
Points = list[dict[str, Any]]  # each with `amount`, `n_samples`, `pooled`


def fits(source: Source) -> bool:
    return source.schema == FEWSHOT_SCHEMA or source.amount is not None


def draw(source: Source, metric: str) -> Figure:
    """Draw a metric over the amount of target data, with its interval over three runs or more, and the zero-shot line.

    Of UA chance is drawn too. Percentages and shots have a panel each. Points of several methods at one amount stand side by
    side.
    """
    result, methods = source.result, methods_of(source)
    points = next(iter(methods.values()))
    panels = [share for share in (False, True) if any(amount_value(p["amount"])[0] is share for p in points)]
    figure = Figure(figsize=(1.2 + 5.4 * len(panels), 4.8), layout="constrained")
    shared: Axes | None = None
    for number, share in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), number, sharey=shared)
        shared = shared or axes
        _panel(axes, methods, share, metric)
        if result.get("source"):
            zero = result["source"]["zero_shot"]["pooled"][metric]["mean"]
            axes.axhline(
                zero, color=ZERO, linestyle="--", linewidth=1.2, label=f"no target data (zero-shot), {zero:.3f}"
            )
        if metric == "UA":
            chance = chance_of(source)
            axes.axhline(chance, color=ZERO, linestyle=":", linewidth=1.2, label=f"chance, {chance:.3f}")
        if number == 1:
            axes.set_ylabel(FULL_NAMES[metric])
        else:
            axes.tick_params(labelleft=False)
    if shared:  # an interval of Student's t over few runs may go far beyond
        low, high = shared.get_ylim()
        shared.set_ylim(max(low, -0.02), min(high, 1.02))
    handles, labels = shared.get_legend_handles_labels() if shared else ([], [])
    figure.legend(handles, labels, loc="outside lower center", ncols=min(1 + len(panels), len(labels)), frameon=False)
    n = points[0]["pooled"][metric]["n"]
    interval = ", 95 % intervals over runs" if n >= FEW_RUNS else ""
    title(figure, result, f"{runs_of(n)}{interval}, pooled over folds")
    return figure


def words(source: Source, metric: str) -> str:
    found = []
    if source.result.get("source"):
        found.append(f"no target data {source.result['source']['zero_shot']['pooled'][metric]['mean']:.3f}")
    for name, curve in methods_of(source).items():
        found.append(f"{name}: " + ", ".join(f"{p['amount']} {p['pooled'][metric]['mean']:.3f}" for p in curve))
    found += [f"chance {chance_of(source):.3f}"] if metric == "UA" else []
    return f"{metric.replace('_', ' ')}. " + "; ".join(found) + "."


def chance_of(source: Source) -> float:
    """The UA of guessing, by the number of classes."""
    return 1 / len(source.classes if source.is_summary else fact(source.result, "classes"))


def methods_of(source: Source) -> dict[str, Points]:
    """Curves by their names in the legend."""
    result = source.result
    if not source.is_summary:
        return {m["name"]: m["curve"] for m in result["methods"]}
    name = "source model + target data" if "source" in result else "target data"
    return {name: [{"amount": amount, **part} for amount, part in result["percentages"].items()]}


def _panel(axes: Axes, methods: dict[str, Points], share: bool, metric: str) -> None:
    """The lines of one kind of amount."""
    first = [p for p in next(iter(methods.values())) if amount_value(p["amount"])[0] is share]
    amounts = np.array([amount_value(p["amount"])[1] for p in first])
    logarithmic = len(amounts) > 1 and max(amounts) / min(amounts) > 4
    if logarithmic:
        axes.set_xscale("log")
    for number, (name, points) in enumerate(methods.items()):
        scores = [p["pooled"][metric] for p in points if amount_value(p["amount"])[0] is share]
        place = _aside(amounts, number - (len(methods) - 1) / 2, logarithmic)
        style = {"color": PALETTE[number % len(PALETTE)], "marker": MARKERS[number % len(MARKERS)], "label": name}
        mean = np.array([s["mean"] for s in scores])
        axes.plot(place, mean, markersize=5, linewidth=1.5, **style)  # type: ignore[arg-type]
        if all(s["ci_95"] and s["n"] >= FEW_RUNS for s in scores):
            low, high = np.array([s["ci_95"] for s in scores]).T
            axes.errorbar(
                place, mean, [mean - low, high - mean], color=style["color"], fmt="none", capsize=3, elinewidth=1
            )
    unit = "%" if share else ""
    axes.set_xticks(amounts, [f"{a:g} {unit}\n{_size(p['n_samples'])}" for a, p in zip(amounts, first, strict=True)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("labelled target data (share and utterances)" if share else "shots a class (and utterances in all)")
    axes.grid(alpha=0.3)


def _aside(amounts: np.ndarray[Any, Any], step: float, logarithmic: bool) -> np.ndarray[Any, Any]:
    """Places a little beside the amounts, so that intervals of several methods do not lie over each other."""
    if len(amounts) < 2:
        return amounts + 0.02 * step * max(float(amounts[0]), 1)
    if logarithmic:
        return np.asarray(amounts * (max(amounts) / min(amounts)) ** (0.011 * step))
    return np.asarray(amounts + 0.011 * step * (max(amounts) - min(amounts)))


def _size(value: int | dict[str, float]) -> str:
    return f"{value['mean']:.0f}" if isinstance(value, dict) else str(value)
