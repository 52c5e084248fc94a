"""The study of several few-shot methods: their curves, how they compare at each amount, and the labels they save."""

from datetime import datetime
from pathlib import Path
from typing import Any

from ser.results.metrics.saved_labels import saved_labels
from ser.results.records import record
from ser.results.records.names import FEWSHOT_SCHEMA
from ser.results.records.notes import notes_of
from ser.results.records.summary import opening
from ser.results.statistics.gains import by_amount
from ser.train.fewshot.runs import Done

SCRATCH = "scratch"
METRIC = "UA"


def write_study(
    path: Path,
    *,
    experiment: str,
    command: str,
    config: dict[str, Any],
    data: dict[str, Any],
    stamps: list[str],
    started: datetime,
    device: str,
    classes: list[str],
    summaries: dict[str, tuple[dict[str, Any], str]],
    done: Done,
) -> dict[str, Any]:
    """Compare the methods, write the study and give it.

    Args:
        summaries: by method, each with its place as seen from the study; the first is what the others are compared with.
        done: the runs, by method.
    """
    curves = {name: _curve(summary) for name, (summary, _) in summaries.items()}
    source = next((s["source"] for s, _ in summaries.values() if "source" in s), None)
    scores = {n: {p["amount"]: p["pooled"][METRIC]["mean"] for p in c} for n, c in curves.items()}
    zero = None if source is None else source["zero_shot"]["pooled"][METRIC]["mean"]
    others = {name: own for name, own in scores.items() if name != SCRATCH}
    study = {
        **opening(experiment, command, config, data, stamps, started, _seconds(done), device, FEWSHOT_SCHEMA),
        "notes": [f"{name}: {note}" for name, runs in done.items() for note in notes_of(runs)],
        "methods": [
            {"name": name, "experiment": summary["experiment"], "record": place, "curve": curves[name]}
            for name, (summary, place) in summaries.items()
        ],
        "source": source
        and {
            "zero_shot": {part: source["zero_shot"][part] for part in ("test", "pooled")},
            "validation": source["validation"],
        },
        "reference": next(iter(summaries)),
        "comparisons": by_amount(done, classes),
        "saved_labels": saved_labels(others, scores.get(SCRATCH, {}), zero),
    }
    record.write_study(path, study)
    return study


def _curve(summary: dict[str, Any]) -> list[dict[str, Any]]:
    keys = ("n_samples", "n_speakers", "test", "pooled")
    return [
        {"amount": name, **{k: part[k] for k in keys if k in part}} for name, part in summary["percentages"].items()
    ]


def _seconds(done: Done) -> float:
    """Of all training: the source models, which each method's record has its own account of, count once."""
    alone = sum(r["seconds"] for runs in done.values() for r, _ in runs if r.get("percentage") != 0)
    source = [sum(r["seconds"] for r, _ in runs if r.get("percentage") == 0) for runs in done.values()]
    return float(alone + max(source))
