"""Pictures of scores with intervals: horizontal bars (classes, speakers, genders), and points (variants of a study).

A bar begins at 0, so that its length is the score; points are for scores and differences that are compared closely.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import NamedTuple, TypeVar

import numpy as np
from matplotlib.axes import Axes

from ser.results.cells import FEW_RUNS, runs_interval
from ser.results.plotting.style import PALETTE, Figure
from ser.results.records.numbers import Described

T = TypeVar("T")
BARS = (PALETTE[0], PALETTE[4], PALETTE[2])  # next to each other they differ in grey too
LABEL = 44  # characters of a line of an axis's label
MANY = 40  # rows: a picture of more would be longer than a page
SOME_RUNS = 12  # up to this number, each run is drawn as a dot


class Estimate(NamedTuple):
    """A number with its interval, None where there is none; `values`: of each run, where they are known."""

    mean: float
    ci_95: tuple[float, float] | None
    values: Sequence[float] = ()

    @classmethod
    def of(cls, metric: Described | None) -> "Estimate | None":
        """A metric described over runs; over few or equal runs the interval says nothing and is left out."""
        if metric is None:
            return None
        return cls(metric.mean, runs_interval(metric), metric.values)


@dataclass(frozen=True)
class Series:
    """Bars of one colour.

    Attributes:
        name: in the legend; "" for none.
        values: one per row; None where there is no such number.
        colours: one per row, where they differ.
    """

    name: str
    values: Sequence[Estimate | None]
    colours: Sequence[str] = field(default=())


def ends_of(order: list[T]) -> list[T]:
    """Names or groups from best to worst; of more than `MANY` the best and the worst half of this number."""
    return order if len(order) <= MANY else [*order[: MANY // 2], *order[-MANY // 2 :]]


def interval_note(metric: Described, drawn: str = "") -> str:
    """The meaning of the lines over bars and points, of which this is one; `drawn` calls them, where there are any."""
    if runs_interval(metric):
        return f"{drawn and f'{drawn}: '}95 % intervals (t) over {metric.n} runs"
    return f"no intervals: {f'fewer than {FEW_RUNS} runs' if metric.n < FEW_RUNS else 'all runs are equal'}"


def points_note(metric: Described) -> str:
    """The meaning of the lines and the small dots of `points`."""
    return interval_note(metric) + ("; small: each run" if 1 < metric.n <= SOME_RUNS else "")


def bars(
    rows: Sequence[str],
    series: Sequence[Series],
    label: str,
    lines: Sequence[tuple[float, str, str]] = (),
    key: Sequence[tuple[str, str]] = (),
) -> Figure:
    """Draw horizontal bars, a group of them per row, the first row on top.

    Args:
        rows: their names.
        series: at least one, each with one value per row.
        label: of the axis, from 0 to 1 unless a value lies outside.
        lines: vertical ones, as value, style and name.
        key: colours by what they mean, where the series' `colours` have a meaning.
    """
    height = 0.8 / len(series)
    figure = Figure(figsize=(5.6, 1.5 + len(rows) * (0.14 + 0.13 * len(series))), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(rows))
    shown = [v.mean for part in series for v in part.values if v is not None]
    lowest, highest = min(shown, default=0.0), max(shown, default=0.0)
    # A CCC may be below 0; an error on the scale of ratings, or a divergence, above 1.
    ends = (min(0.0, lowest * 1.05), 1.0 if highest <= 1 else highest * 1.05)
    for number, part in enumerate(series):
        at = places + (number - (len(series) - 1) / 2) * height
        colour = BARS[number % len(BARS)]
        means = [0.0 if v is None else v.mean for v in part.values]
        axes.barh(at, means, height * 0.92, color=list(part.colours) or colour, label=part.name or None)
        for y, value in zip(at, part.values, strict=True):
            if value is not None and value.ci_95:
                low, high = (min(ends[1], max(min(0.0, value.mean), v)) for v in value.ci_95)
                axes.plot([low, high], [y, y], color="black", linewidth=1.4, solid_capstyle="butt")
    for place, style, name in lines:
        axes.axvline(place, color="black", linestyle=style, linewidth=1, label=name)
    for colour, name in key:
        axes.barh([0], [0], color=colour, label=name)
    axes.set(xlim=ends, ylim=(len(rows) - 0.4, -0.6), xlabel=_in_lines(label))
    axes.set_yticks(places, rows)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False, fontsize=9)
    return figure


def _in_lines(label: str) -> str:
    """A label of an axis in lines that fit beside long names of rows."""
    return "\n".join(wrap(label, LABEL))


def points(rows: Sequence[str], values: Sequence[Estimate | None], label: str, zero: float | None = None) -> Figure:
    """Draw a point with its interval per row, the first on top, and a line at `zero`; the axis need not begin at 0."""
    figure = Figure(figsize=(5.6, 1.2 + 0.34 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    draw_points(axes, rows, values, label, zero)
    return figure


def draw_points(
    axes: Axes, rows: Sequence[str], values: Sequence[Estimate | None], label: str, zero: float | None = None
) -> None:
    """Draw `points` into given axes."""
    for y, value in enumerate(values):
        if value is None:
            continue
        if 1 < len(value.values) <= SOME_RUNS:
            axes.plot(value.values, [y + 0.22] * len(value.values), "o", color=PALETTE[5], markersize=3.5, markeredgewidth=0)
        axes.plot([value.mean], [y], "o", color=PALETTE[0], markersize=7)
        if value.ci_95:
            axes.plot(value.ci_95, [y, y], color=PALETTE[0], linewidth=2, solid_capstyle="butt")
    if zero is not None:
        axes.axvline(zero, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(ylim=(len(rows) - 0.5, -0.6), xlabel=_in_lines(label))
    axes.grid(axis="x", alpha=0.3)
    axes.margins(x=0.08)
