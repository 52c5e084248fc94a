"""Scores of results as tidy rows: one a result, part and metric."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from ser.results.records.find import dataset
from ser.results.records.names import (
    ABLATION_SCHEMA,
    EVALUATION_SCHEMA,
    FEWSHOT_SCHEMA,
    MATRIX_SCHEMA,
    METRICS,
    SEARCH_SCHEMA,
    TRANSFER_SCHEMA,
)
from ser.results.records.result import Source
from ser.results.report.evaluation_tables import PROBABILITIES, STATES, parts_of
from ser.results.report.show import FEW_RUNS

COLUMNS = ("experiment", "of", "split", "metric", "mean", "std", "ci_95_low", "ci_95_high", "n")
SPLITS = ("validation", "test", "pooled")


def tidy(source: Source) -> list[dict[str, Any]]:
    """A row a split and metric of a result, of each of a study's variants, methods or cells.

    Returns:
        Dicts of `COLUMNS`: `of` is the variant, the amount of target data, or the pair of corpora, "" where there is one
        thing only; `n` is the number of runs, of which there are three or more where there is an interval.
    """
    found = []
    for of, part in _parts(source):
        for split in SPLITS:
            for metric in [m for m in (*METRICS, *PROBABILITIES) if m in (part.get(split) or {})]:
                value = part[split][metric]
                low, high = (value["ci_95"] if value["n"] >= FEW_RUNS else None) or (None, None)
                numbers = [value["mean"], value["std"], low, high, value["n"]]
                facts = [source.result["experiment"], of, split, metric]
                found.append(dict(zip(COLUMNS, [*facts, *numbers], strict=True)))
    return found


def _parts(source: Source) -> Iterator[tuple[str, dict[str, Any]]]:
    """What has scores, by name."""
    result = source.result
    if source.schema == EVALUATION_SCHEMA:
        for name, part in parts_of(result).items():
            yield f"{dataset(result)}, {name}", {"pooled": part["scores"]}
            states = {s: part["probabilities"][s] for s in STATES if part["probabilities"][s] is not None}
            yield from ((f"{dataset(result)}, {name}, {state}", {"pooled": found}) for state, found in states.items())
    elif source.is_summary and source.amount is None:
        yield "", result
    elif source.is_summary:
        if result.get("source"):
            yield "no target data", result["source"]["zero_shot"]
        yield from result["percentages"].items()
    elif source.schema in (TRANSFER_SCHEMA, ABLATION_SCHEMA):
        yield from ((v["name"], v) for v in result["variants"])
    elif source.schema == SEARCH_SCHEMA:
        yield "chosen", result["chosen"]
        if "nested" in result:
            yield "nested", result["nested"]
    elif source.schema == MATRIX_SCHEMA:
        yield from ((f"{c['source']} -> {c['target']}", c) for c in result["cells"])
    elif source.schema == FEWSHOT_SCHEMA:
        yield from ((f"{m['name']}, {p['amount']}", p) for m in result["methods"] for p in m["curve"])


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of `tidy` as CSV, numbers in full."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
