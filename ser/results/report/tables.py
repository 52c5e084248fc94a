"""Aligned columns for the terminal, the list of results, and a summary as CSV. Pure and light."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from ser.results.records.headlines import STUDY, Headline
from ser.results.records.names import METRICS

ABSENT = "-"


def grid(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Columns aligned with two blanks between: the first `left` columns to the left, the others to the right.

    >>> grid([["UA", "0.5"], ["WF1", "12"]])
    ['UA   0.5', 'WF1   12']
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines


def number(value: float | None) -> str:
    """A score with three digits; `-` where there is none."""
    return ABSENT if value is None else f"{value:.3f}"


def scores(metrics: dict[str, Any]) -> list[str]:
    """All metrics, mean ± std over runs."""
    return [score(metrics[name]) for name in METRICS]


def score(metric: dict[str, Any]) -> str:
    return number(metric["mean"]) + (f" ± {metric['std']:.3f}" if metric["std"] is not None else "")


def interval(values: Sequence[float] | None) -> str:
    """`0.612 to 0.655`; `-` where there is none."""
    return ABSENT if values is None else f"{values[0]:.3f} to {values[1]:.3f}"


def compared(comparison: dict[str, Any]) -> list[str]:
    """Difference, its interval, effect size, and p of both tests and after Holm, for a row of a table."""
    effect = comparison["effect_size"]
    tests = [comparison["tests"][name] for name in ("models", "speakers")]
    p = comparison["p_holm"]
    return [
        f"{comparison['difference']:+.3f}",
        interval(comparison["ci_95"]),
        ABSENT if effect is None else f"{effect:.2f}",
        *(ABSENT if t is None else f"{t['p']:.4f} ({t['units']})" for t in tests),
        ABSENT if p is None else f"{p:.4f}",
    ]


TESTS = (
    "effect",
    "p over models",
    "p over speakers",
    "p",
    "p, Holm",
)  # headings of what `tested` gives after the interval


def tested(comparison: dict[str, Any]) -> list[str]:
    """As `compared`, with p of both kinds of luck together before Holm's."""
    *cells, adjusted = compared(comparison)
    p = comparison["p"]
    return [*cells, ABSENT if p is None else f"{p:.4f}", adjusted]


def date(started: str) -> str:
    """ISO 8601 -> day and minute."""
    return started[:16].replace("T", " ")


def table(headlines: Iterable[Headline]) -> str:
    """The list of results, one line each, in the order given; `2*` are two stamps."""
    lines = list(headlines)
    head = ["experiment", "command", "dataset", "features", "head", "scheme", "protocol"]
    rows = [[*head, "runs", "of", "UA", "WA", "date (UTC)", "stamps"]]
    rows += [
        [
            *(line.experiment, f"{line.command} (study)" if line.kind == STUDY else line.command, line.dataset),
            *(line.features, line.head, line.scheme, line.protocol),
            *(str(line.runs), line.at, number(line.scores["UA"]), number(line.scores["WA"]), date(line.started)),
            f"{line.stamps}*" if line.stamps else "",
        ]
        for line in lines
    ]
    note = ["stamps: see ser results show NAME"] if any(line.stamps for line in lines) else []
    return "\n".join([*grid(rows, left=len(head)), *note])


def list_csv(headlines: Iterable[Headline]) -> str:
    """The list of results as CSV, all columns."""
    lines = [line.facts() for line in headlines]
    out = io.StringIO()
    columns = [f.name for f in fields(Headline) if f.name != "scores"]
    writer = csv.DictWriter(out, [*columns, *METRICS], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def as_csv(summary: dict[str, Any]) -> str:
    """One line a part, metric and percentage: mean, std, interval and the values of the runs."""
    columns = ["experiment", "percentage", "part", "metric", "mean", "std", "ci_95_low", "ci_95_high", "n", "values"]
    parts: list[tuple[str, str, dict[str, Any] | None]] = []
    if "percentages" in summary:
        source = summary.get("source")
        if source:
            parts += [("0", part, source["zero_shot"][part]) for part in ("test", "pooled")]
        for name, shot in summary["percentages"].items():
            parts += [(name.rstrip("%"), part, shot.get(part)) for part in ("validation", "test", "pooled")]
    else:
        parts += [("", part, summary[part]) for part in ("validation", "test", "pooled")]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for percentage, part, metrics in parts:
        for name in METRICS if metrics is not None else ():
            m = (metrics or {})[name]
            low, high = m["ci_95"] or (None, None)
            values = " ".join(map(str, m["values"]))
            row = [summary["experiment"], percentage, part, name, m["mean"], m["std"], low, high, m["n"], values]
            writer.writerow(row)
    return out.getvalue()
