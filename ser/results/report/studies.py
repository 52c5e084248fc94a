"""A study as text for the terminal. Pure and light: study in, text out."""

from typing import Any

from ser.results.records.find import dataset, fact
from ser.results.records.names import FEWSHOT_SCHEMA, MATRIX_SCHEMA, METRICS, SEARCH_SCHEMA, TRANSFER_SCHEMA
from ser.results.report.fewshots import fewshot_text
from ser.results.report.matrices import matrix_text
from ser.results.report.tables import TESTS as COLUMNS
from ser.results.report.tables import date, grid, score, scores, tested
from ser.results.report.transfers import transfer_text

POOLED = "Test predictions of all folds together, mean ± std over runs."
TESTS = (
    "Permutation tests: models (run x fold) dealt anew within each fold; predictions of a speaker swapped; in brackets\n"
    "the number of each. p: of both together, Holm over the rows. Five speakers cannot give a p below 0.0625."
)


def study_text(study: dict[str, Any], file: object) -> str:
    """A whole study for the terminal.

    Args:
        file: where it lies, for the last line.
    """
    bodies = {
        SEARCH_SCHEMA: _search,
        TRANSFER_SCHEMA: transfer_text,
        MATRIX_SCHEMA: matrix_text,
        FEWSHOT_SCHEMA: fewshot_text,
    }
    body = bodies.get(study["schema"], _ablation)(study)
    return "\n\n".join([_facts(study), *body, f"study       {file}"])


def _facts(study: dict[str, Any]) -> str:
    words = [dataset(study), *(f"{k} {fact(study, k)}" for k in ("scheme", "protocol") if fact(study, k) is not None)]
    rows = [
        ["experiment", study["experiment"]],
        ["command", study["command"]],
        ["date", f"{date(study['time']['started'])} UTC"],
        ["data", ", ".join(words)],
    ]
    rows += [["stamp" if i == 0 else "", stamp] for i, stamp in enumerate(study["stamps"])]
    rows += [["note" if i == 0 else "", note] for i, note in enumerate(study["notes"])]
    return "\n".join(f"{name:<10}  {value}" for name, value in rows)


def _ablation(study: dict[str, Any]) -> list[str]:
    table = "\n".join([*grid(ablation_rows(study), left=3), POOLED])
    return [table, "\n".join([*grid(difference_rows(study)), TESTS])]


def ablation_rows(study: dict[str, Any]) -> list[list[str]]:
    """Variants and their scores, the heading first."""
    rows = [["variant", "head", "features", *METRICS, "runs"]]
    for v in study["variants"]:
        rows.append([v["name"], v["head"], "+".join(v["stores"]), *scores(v["pooled"]), str(v["pooled"]["UA"]["n"])])
    return rows


def difference_rows(study: dict[str, Any]) -> list[list[str]]:
    """The full model against each other variant, the heading first."""
    rows = [["full model minus", "UA", "95 %", *COLUMNS]]
    return [*rows, *([c["variant"], *tested(c)] for c in study["comparisons"])]


def _search(study: dict[str, Any]) -> list[str]:
    failed = [f"failed      {line}" for line in failed_settings(study)]
    lines = [*grid(setting_rows(study)), search_note(study)]
    rows, note = chosen_rows(study)
    parts = [
        "\n".join(lines),
        "\n".join([*grid(rows), note]),
        f"record      {study['chosen']['record']}, beside this one",
    ]
    return [*parts[:1], *(["\n".join(failed)] if failed else []), *parts[1:]]


def search_note(study: dict[str, Any]) -> str:
    return f"{study['tried']} settings tried, {study['failed']} failed; chosen by {study['chosen_by']}."


def failed_settings(study: dict[str, Any]) -> list[str]:
    return [f"{setting(s['setting'])}: {s['error']}" for s in study["settings"] if s["error"] is not None]


def setting_rows(study: dict[str, Any]) -> list[list[str]]:
    """Settings and their validation scores, the heading first."""
    rows = [["setting", "validation UA", "validation WA", ""]]
    for s in study["settings"]:
        if s["error"] is None:
            mark = "chosen" if s["setting"] == study["chosen"]["setting"] else ""
            rows.append([setting(s["setting"]), score(s["validation"]["UA"]), score(s["validation"]["WA"]), mark])
    return rows


def chosen_rows(study: dict[str, Any]) -> tuple[list[list[str]], str]:
    """Test scores of what was chosen, the heading first, and a note."""
    chosen = study["chosen"]
    rows = [["test", *METRICS], [f"chosen: {setting(chosen['setting'])}", *scores(chosen["pooled"])]]
    note = "Test predictions of all folds together."
    if "nested" in study:
        rows.append(["nested: chosen fold by fold", *scores(study["nested"]["pooled"])])
        note += " nested: each fold's setting chosen on its own validation part."
    return rows, note


def setting(values: dict[str, Any]) -> str:
    """`{"lr": 0.001}` -> `lr=0.001`."""
    return " ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items())
