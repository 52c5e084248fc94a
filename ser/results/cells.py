"""Numbers and names as the texts of tables, the same in all formats. Pure and light."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from ser.results.records.model import Spread
from ser.results.records.numbers import Comparison, Described, Interval, Metrics, Tested

ABSENT = "-"
HEADS = {
    "WF1": "weighted F1",
    "Macro_F1": "macro F1",
    "F1_macro": "macro F1",
    "F1_micro": "micro F1",
    "exact": "exact match",
    "Hamming": "Hamming loss",
    "F1_1K": "macro F1 at 1/K",
}  # headings of the metrics that are not their names
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes a text that begins with one of these for a formula
FEW_RUNS = 3  # with fewer, an interval over runs says nothing: with two, t is 12.7
APART = (
    "The 95 % interval and p disagree here: {}. p counts: it exchanges models and speakers as if there were no difference; the "
    "interval draws the same speakers and runs again, and is only roughly right with few of them."
)
TESTED = ("effect", "p over models", "p over speakers", "p", "p, Holm")  # headings of `tested` after the interval


def number(value: float | None) -> str:
    """A score with three digits; `-` where there is none."""
    return ABSENT if value is None else f"{value:.3f}"


def score(metric: Described, signed: bool = False) -> str:
    """Mean ± std, the latter where there is one. `signed`: with a plus too."""
    mean = f"{metric.mean:+.3f}" if signed else f"{metric.mean:.3f}"
    return mean if metric.std is None else f"{mean} ± {metric.std:.3f}"


def head_of(metric: str) -> str:
    """The heading of a metric."""
    return HEADS.get(metric, metric)


def score_heads(metrics: Metrics) -> list[str]:
    """The headings of all metrics that there are."""
    return [head_of(name) for name in metrics.names]


def main_head(metrics: Metrics) -> str:
    """The heading of the metric that stands for a result."""
    return head_of(metrics.names[0])


def score_cells(metrics: Metrics) -> list[str]:
    """All metrics, mean ± std over runs."""
    return [score(metric) for _, metric in metrics.items()]


def interval(values: Sequence[float] | None) -> str:
    """`0.612 to 0.655`; `-` where there is none."""
    return f"{values[0]:.3f} to {values[1]:.3f}" if values else ABSENT


def runs_interval(metric: Described | None) -> Interval:
    """The interval over runs; None under `FEW_RUNS`, and where all runs are equal: its width of 0 does not mean certainty."""
    return metric.ci_95 if metric is not None and metric.n >= FEW_RUNS and len(set(metric.values)) > 1 else None


def over_runs(metric: Described | None) -> str:
    """`runs_interval` in words; `-` where there is none."""
    return interval(runs_interval(metric))


def with_interval(metric: Described) -> str:
    """The mean, and its interval over runs where there is one."""
    return f"{number(metric.mean)} (95 % over runs {over_runs(metric)})" if over_runs(metric) != ABSENT else number(metric.mean)


def tested(comparison: Comparison, p_holm: float | None) -> list[str]:
    """Difference, its interval, effect size, and the p-values of `TESTED`, for a row of a table."""
    return [
        f"{comparison.difference:+.3f}",
        interval(comparison.ci_95),
        ABSENT if comparison.effect_size is None else f"{comparison.effect_size:.2f}",
        *map(_tested, (comparison.tests.models, comparison.tests.speakers)),
        *map(p_value, (comparison.p, p_holm)),
    ]


def disagreement(named: Iterable[tuple[str, Comparison]]) -> str:
    """The end of a table's note: the rows whose interval and p disagree at 0.05, and which of the two counts; "" for none."""
    found = [
        name for name, c in named if c.ci_95 is not None and c.p is not None and (c.ci_95[0] <= 0 <= c.ci_95[1]) == (c.p < 0.05)
    ]
    return f" {APART.format(', '.join(found))}" if found else ""


def _tested(test: Tested | None) -> str:
    return ABSENT if test is None else f"{test.p:.4f} ({test.units})"


def p_value(p: float | None) -> str:
    return ABSENT if p is None else f"{p:.4f}"


def many(count: int, thing: str) -> str:
    """A count with its noun.

    >>> many(1, "run"), many(3, "run")
    ('1 run', '3 runs')
    """
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def size(value: int | Spread) -> str:
    """A number, or its mean and range where folds differ."""
    return f"{value.mean:.0f} ({value.min:g} to {value.max:g})" if isinstance(value, Spread) else str(value)


def date(started: str) -> str:
    """ISO 8601 -> day and minute."""
    return started[:16].replace("T", " ")


def setting(values: dict[str, Any]) -> str:
    """The options of a setting.

    >>> setting({"lr": 0.001, "head": "mlp"})
    'lr=0.001 head=mlp'
    """
    return " ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items())


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV, numbers in full. A text that a spreadsheet would take for a formula gets an apostrophe before it.

    >>> csv_text(["of", "mean"], [("=1+1", -0.5)])
    "of,mean\\n'=1+1,-0.5\\n"
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[_quoted(cell) for cell in row] for row in rows])
    return out.getvalue()


def _quoted(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
