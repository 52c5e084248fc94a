"""A study of few-shot methods as text for the terminal. Pure and light: study in, text out."""

from typing import Any

from ser.results.records.names import METRICS
from ser.results.report.tables import ABSENT, TESTS, grid, number, score, scores, tested

NOTE = (
    "Pooled UA. Permutation tests: models dealt anew, a run whole; predictions of a speaker swapped; in brackets the number\n"
    "of each. p: of both together, Holm over the rows; not given under 4 runs."
)
WORTH = (
    "worth: the amount with which training from scratch has the same pooled UA, linear between its points in the logarithm of\n"
    "the amount; saved: share of the labels that scratch would need beyond those used. Of means over runs, without an interval."
)


def samples(value: int | dict[str, float]) -> str:
    """A number, or its mean and spread."""
    if isinstance(value, dict):
        return f"{value['mean']:.0f} ({value['min']:g} to {value['max']:g})"
    return str(value)


def fewshot_text(study: dict[str, Any]) -> list[str]:
    """Its parts: curves, comparisons, labels saved."""
    parts = ["\n".join([*grid(curve_rows(study)), runs_note(study)]), "\n".join(grid(best_rows(study)))]
    if study["comparisons"]:
        parts.append("\n".join([*grid(minus_rows(study), left=2), NOTE]))
    if study["saved_labels"]:
        parts.append("\n".join([*grid(saved_rows(study), left=2), WORTH]))
    return parts


def minus_rows(study: dict[str, Any]) -> list[list[str]]:
    """The reference method against each other one, the heading first."""
    rows = [["amount", f"minus {study['reference']}", "UA", "95 %", *TESTS]]
    return [*rows, *([c["amount"], c["method"], *tested(c)] for c in study["comparisons"])]


def saved_rows(study: dict[str, Any]) -> list[list[str]]:
    """What each method's score is worth in labels, the heading first."""
    rows = [["method", "target data", "UA", "worth", "saved"]]
    for r in study["saved_labels"]:
        rows.append([r["method"], r["amount"], number(r["score"]), worth_text(r), _saved(r)])
    return rows


def worth_text(row: dict[str, Any]) -> str:
    """What a score is worth in target data.

    >>> worth_text({"worth": 100.0, "relation": "more than", "unit": "%"})
    'not reached within 100 %'
    """
    unit = "shot" if row["unit"] == "shots" and row["worth"] == 1 else row["unit"]
    if row["relation"] == "more than":
        return f"not reached within {row['worth']:g} {unit}"
    if row["relation"] == "at most":
        return f"no more than {row['worth']:g} {unit}"
    return f"{row['worth']:.0f} {unit}" if row["worth"] >= 10 else f"{row['worth']:.1f} {unit}"


def _saved(row: dict[str, Any]) -> str:
    if row["saved"] is None:
        return ABSENT
    if row["saved"] < 0:
        return f"none: {1 - row['saved']:.1f} times as many"
    return f"{100 * row['saved']:.0f} %"


def curve_rows(study: dict[str, Any]) -> list[list[str]]:
    """Methods by amounts: pooled UA, the heading first."""
    points = study["methods"][0]["curve"]
    rows = [["pooled UA", *(p["amount"] for p in points)]]
    if study["source"]:
        rows.append(["source only", *[score(study["source"]["zero_shot"]["pooled"]["UA"])] * len(points)])
    rows += [[m["name"], *(score(p["pooled"]["UA"]) for p in m["curve"])] for m in study["methods"]]
    rows.append(["utterances", *(samples(p["n_samples"]) for p in points)])
    if all("n_speakers" in p for p in points):
        rows.append(["speakers", *(samples(p["n_speakers"]) for p in points)])
    return rows


def runs_note(study: dict[str, Any]) -> str:
    runs = study["methods"][0]["curve"][0]["pooled"]["UA"]["n"]
    return f"Test predictions of all folds of the target together, mean ± std over {runs} runs."


def best_rows(study: dict[str, Any]) -> list[list[str]]:
    """All metrics at the largest amount, the heading first."""
    last = study["methods"][0]["curve"][-1]["amount"]
    return [[f"at {last}", *METRICS], *([m["name"], *scores(m["curve"][-1]["pooled"])] for m in study["methods"])]
