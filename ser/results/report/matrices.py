"""A transfer matrix as means, as text and as CSV. Pure but for the writing: study in, text out."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ser.results.records.names import METRICS
from ser.results.report.tables import ABSENT, grid, score
from ser.results.report.transfers import space_lines, suspect_line
from ser.workspace import writing

NOTE = (
    "UA of all test predictions together, mean ± std over runs. Rows are trained on, columns tested. In brackets: within a\n"
    "corpus, under its own protocol. others: mean of a row or column without the brackets. /: no language is shared."
)
COLUMNS = (
    "source",
    "target",
    "within",
    "cross_language",
    "utterances",
    "metric",
    "mean",
    "std",
    "ci_95_low",
    "ci_95_high",
)


def means(cells: Sequence[dict[str, Any]], names: Sequence[str], side: str) -> dict[str, Any]:
    """By corpus: the mean of the cells with it as source or target (`side`) but the diagonal, run by run, over runs."""
    from ser.results.statistics.intervals import describe

    found: dict[str, Any] = {}
    for name in names:
        own = [c["pooled"] for c in cells if c[side] == name and not c["within"]]
        runs = {m: zip(*(p[m]["values"] for p in own), strict=True) for m in METRICS}
        found[name] = {m: describe([sum(values) / len(values) for values in runs[m]]) for m in METRICS}
    return found


def by_pair(study: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The cells by source and target."""
    return {(c["source"], c["target"]): c for c in study["cells"]}


def matrix_text(study: dict[str, Any]) -> list[str]:
    """Its parts: the table, label spaces, suspects, where it lies as CSV and picture."""
    parts = ["\n".join([*grid(matrix_rows(study)), NOTE]), "\n".join(space_lines(study["data"]["label_space"]))]
    found = suspect_lines(study)
    return [*parts, *(["\n".join(found)] if found else [])]


def matrix_rows(study: dict[str, Any]) -> list[list[str]]:
    """Sources by targets: pooled UA, the heading first."""
    names, cells = study["datasets"], by_pair(study)
    rows = [["trained on", *names, "others"]]
    for source in names:
        shown = [_shown(cells[source, target]) for target in names]
        rows.append([source, *shown, score(study["sources"][source]["UA"])])
    return [*rows, ["others", *(score(study["targets"][t]["UA"]) for t in names), ABSENT]]


def suspect_lines(study: dict[str, Any]) -> list[str]:
    return [suspect_line(s, f"{c['source']} -> {c['target']}: ") for c in study["cells"] for s in c["suspects"]]


def _shown(cell: dict[str, Any]) -> str:
    value = score(cell["pooled"]["UA"])
    return f"[{value}]" if cell["within"] else f"{value} /" if cell["cross_language"] else value


def as_csv(study: dict[str, Any]) -> str:
    """One line a cell and metric; then the means of rows and columns, with `others` in the place of the other corpus."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*COLUMNS, "runs", "values"])
    for c in study["cells"]:
        facts = [c["source"], c["target"], str(c["within"]).lower(), c["cross_language"], c["utterances"]]
        writer.writerows([*facts, *_row(m, c["pooled"][m])] for m in METRICS)
    for name in study["datasets"]:
        for pair, metrics in (([name, "others"], study["sources"]), (["others", name], study["targets"])):
            writer.writerows([*pair, "false", None, None, *_row(m, metrics[name][m])] for m in METRICS)
    return out.getvalue()


def _row(name: str, metric: dict[str, Any]) -> list[Any]:
    low, high = metric["ci_95"] or (None, None)
    return [name, metric["mean"], metric["std"], low, high, metric["n"], " ".join(map(str, metric["values"]))]


def write_csv(study: dict[str, Any], path: Path) -> None:
    with writing(path) as temporary:
        temporary.write_text(as_csv(study), encoding="utf-8")
