"""Transfers as text for the terminal: studies, and what the summaries of transfers have besides. Pure and light."""

from typing import Any

from ser.results.records.names import METRICS
from ser.results.report.tables import ABSENT, TESTS, grid, number, score, scores, tested

NOTE = (
    "Gain over the source's head alone, pooled UA. Permutation tests: models dealt anew, a run whole; predictions of a\n"
    "speaker swapped; in brackets the number of each. p: of both together, Holm over the rows; not given under 4 runs.\n"
    "Gap: share of the way to target only."
)
COMBINED = (
    "Test predictions of each corpus's folds together, mean ± std over runs; beside the head of that corpus alone, on the\n"
    "same test utterances. Permutation tests: models dealt anew in each fold; predictions of a speaker swapped; in brackets\n"
    "the number of each. p: of both together, Holm over the rows."
)
VARIANTS = "Test predictions of all folds of the target together, mean ± std over runs."


def transfer_text(study: dict[str, Any]) -> list[str]:
    """Its parts: variants, gains, label spaces, suspects."""
    table = "\n".join([*grid(variant_rows(study)), VARIANTS])
    parts = [table, "\n".join([*grid(gain_rows(study)), NOTE]), "\n".join(space_lines(study["data"]["label_space"]))]
    return [*parts, *(["\n".join(map(suspect_line, study["suspects"]))] if study["suspects"] else [])]


def variant_rows(study: dict[str, Any]) -> list[list[str]]:
    """Variants and their scores, the heading first."""
    some = any("selection_score" in v for v in study["variants"])
    rows = [["variant", *METRICS, "runs", *(["selection", "score"] if some else []), ""]]
    for v in study["variants"]:
        chosen = [str(v.get("selection", "")), number(v.get("selection_score"))] if some else []
        mark = "chosen" if v.get("chosen") else ""
        rows.append([v["name"], *scores(v["pooled"]), str(v["pooled"]["UA"]["n"]), *chosen, mark])
    return rows


def gain_rows(study: dict[str, Any]) -> list[list[str]]:
    """Gains over source only with their tests, the heading first."""
    rows = [["gain of", "UA", "95 %", *TESTS, "gap", "verdict"]]
    for c in study["comparisons"]:
        gap = ABSENT if c["gap_closed"] is None else f"{100 * c['gap_closed']:.0f} %"
        rows.append([c["variant"], *tested(c), gap, c["verdict"]])
    return rows


def space_lines(space: dict[str, Any]) -> list[str]:
    lines = [f"classes     {', '.join(space['classes'])}"]
    for corpus in space["corpora"]:
        left = ", ".join(f"{number} {name}" for name, number in corpus["left_out"].items())
        lines.append(f"{'':<12}{corpus['dataset']}: {corpus['utterances']} utterances; left out: {left or 'none'}")
    return lines


def suspect_line(found: dict[str, Any], where: str = "") -> str:
    """Classes that are predicted as each other, in words; `where`: between which corpora."""
    taken = ", ".join(f"{100 * c['share']:.0f} % of {c['true']} as {c['predicted']}" for c in found["confusion"])
    classes = " and ".join(found["classes"])
    test = "" if found["p"] is None else f", p over speakers {found['p']:.4f}"
    gain = f"exchanged, their recall would be {100 * found['gain']:.0f} points higher{test}"
    return f"suspect     {where}{classes} may be swapped between the corpora's label maps: {taken}; {gain}."


def summary_parts(summary: dict[str, Any]) -> list[str]:
    """Of a zero-shot or combined summary: label spaces, normalisation, suspects, and each corpus beside its own head."""
    data = summary["data"]
    if "label_space" not in data:
        return []
    lines = space_lines(data["label_space"])
    lines += [f"normalised  {data['normalization']}"] if "normalization" in data else []
    found = [suspect_line(s) for s in summary.get("suspects", [])]
    parts = ["\n".join([*lines, *found])]
    return [_corpora(summary["datasets"]), *parts] if "datasets" in summary else parts


def _corpora(datasets: dict[str, Any]) -> str:
    return "\n".join([*grid(corpus_rows(datasets)), COMBINED])


def corpus_rows(datasets: dict[str, Any]) -> list[list[str]]:
    """Each corpus of a combined head beside its own head, the heading first."""
    rows = [["corpus", *METRICS, "own head, UA", "combined minus own", "95 %", *TESTS, "verdict"]]
    for name, part in datasets.items():
        c = part["comparison"]
        own = score(part["alone"]["pooled"]["UA"])
        rows.append([name, *scores(part["pooled"]), own, *tested(c), c["verdict"]])
    return rows
