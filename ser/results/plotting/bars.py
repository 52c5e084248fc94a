"""Pictures of scores with intervals: horizontal bars (classes, speakers, genders), and points (variants of a study).

A bar begins at 0, so that its length is the score; points are for scores and differences that are compared closely.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ser.results.plotting.style import PALETTE

BARS = (PALETTE[0], PALETTE[4], PALETTE[2])  # next to each other they differ in grey too
FEW_RUNS = 3  # with fewer, an interval over runs says nothing: with two, t is 12.7
SOME_RUNS = 12  # up to so many, each run is drawn as a dot


@dataclass(frozen=True)
class Series:
    """Bars of one colour.

    Attributes:
        name: in the legend; "" for none.
        values: one a row, as `describe` gives them; None where there is no such number.
        colours: one a row, where they differ.
    """

    name: str
    values: Sequence[dict[str, Any] | None]
    colours: Sequence[str] = field(default=())


def interval_note(n: int) -> str:
    """What the lines over bars and points are."""
    return f"95 % intervals (t) over {n} runs" if n >= FEW_RUNS else "no intervals: fewer than 3 runs"


def points_note(n: int) -> str:
    """What the lines and the small dots of `points` are."""
    return interval_note(n) + ("; small: each run" if 1 < n <= SOME_RUNS else "")


def bars(
    rows: Sequence[str],
    series: Sequence[Series],
    label: str,
    lines: Sequence[tuple[float, str, str]] = (),
    key: Sequence[tuple[str, str]] = (),
) -> Figure:
    """Horizontal bars, a group of them a row, the first row on top.

    Args:
        rows: their names.
        series: at least one, each with a value a row.
        label: of the axis from 0 to 1.
        lines: vertical ones, as value, style and name.
        key: colours by what they mean, where the series' `colours` have a meaning.
    """
    height = 0.8 / len(series)
    figure = Figure(figsize=(5.6, 1.5 + len(rows) * (0.14 + 0.13 * len(series))), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(rows))
    for number, part in enumerate(series):
        at = places + (number - (len(series) - 1) / 2) * height
        colour = BARS[number % len(BARS)]
        means = [0.0 if v is None else v["mean"] for v in part.values]
        axes.barh(at, means, height * 0.92, color=list(part.colours) or colour, label=part.name or None)
        for y, value in zip(at, part.values, strict=True):
            _whisker(axes, y, value)
    for place, style, name in lines:
        axes.axvline(place, color="black", linestyle=style, linewidth=1, label=name)
    for colour, name in key:
        axes.barh([0], [0], color=colour, label=name)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6), xlabel=label)
    axes.set_yticks(places, rows)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(figure, axes)
    return figure


def points(
    rows: Sequence[str], values: Sequence[dict[str, Any] | None], label: str, zero: float | None = None
) -> Figure:
    """A point with its interval a row, the first on top; the axis shows what there is, and need not begin at 0.

    Args:
        zero: where a vertical line stands: at 0 for differences.
    """
    figure = Figure(figsize=(5.6, 1.2 + 0.34 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    draw_points(axes, rows, values, label, zero)
    return figure


def draw_points(
    axes: Axes, rows: Sequence[str], values: Sequence[dict[str, Any] | None], label: str, zero: float | None = None
) -> None:
    """`points` into axes that are there."""
    for y, value in enumerate(values):
        if value is None:
            continue
        runs = value.get("values") or []
        if 1 < len(runs) <= SOME_RUNS:
            axes.plot(runs, [y + 0.22] * len(runs), "o", color=PALETTE[5], markersize=3.5, markeredgewidth=0)
        axes.plot([value["mean"]], [y], "o", color=PALETTE[0], markersize=7)
        interval = _interval(value)
        if interval:
            axes.plot(interval, [y, y], color=PALETTE[0], linewidth=2, solid_capstyle="butt")
    if zero is not None:
        axes.axvline(zero, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(ylim=(len(rows) - 0.5, -0.6), xlabel=label)
    axes.grid(axis="x", alpha=0.3)
    axes.margins(x=0.08)


def _whisker(axes: Axes, y: float, value: dict[str, Any] | None) -> None:
    interval = _interval(value)
    if interval:
        low, high = (min(1.0, max(0.0, v)) for v in interval)
        axes.plot([low, high], [y, y], color="black", linewidth=1.4, solid_capstyle="butt")


def _interval(value: dict[str, Any] | None) -> list[float] | None:
    """None over so few runs that it says nothing; what is no mean over runs (a difference) keeps its own."""
    if value is None or value.get("n", FEW_RUNS) < FEW_RUNS:
        return None
    interval: list[float] | None = value["ci_95"]
    return interval


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False, fontsize=9)
