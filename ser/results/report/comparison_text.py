"""A comparison of results as text for the terminal. Pure and light: comparison in, text out."""

from typing import Any

from ser.results.records.names import METRICS
from ser.results.report.tables import ABSENT, TESTS, date, grid, interval, number, scores, tested

FEW_PAIRS = 3  # with more, classes, genders and speakers are in the record alone
NOTE = (
    "Permutation tests: models (run x fold) dealt anew; predictions of a speaker swapped; in brackets the number of each.\n"
    "p: of both together; Holm: for the number of rows. 95 %: speakers and runs drawn again. effect: mean over standard\n"
    "deviation of the speakers' differences (Cohen's d_z). seeds: runs with which a test at 0.05 would find a true difference\n"
    "of this size in 80 of 100 cases; too hopeful with few runs."
)
DETAILS = "Intervals draw speakers (for a speaker: utterances) and runs again; they are not adjusted for their number."


def comparison_text(comparison: dict[str, Any], file: object = None) -> str:
    """A whole comparison for the terminal.

    Args:
        file: where it was written, for the last line; None where it was not.
    """
    parts = [_facts(comparison), "\n".join(_compared(comparison)), "\n".join(_pairs(comparison))]
    pairs = comparison["pairs"]
    if len(pairs) <= FEW_PAIRS:
        parts += ["\n".join(part) for pair in pairs for part in _details(pair, comparison["metric"])]
        parts.append(DETAILS)
    else:
        parts.append("Differences by class, gender and speaker: compare fewer, or write all with --output FILE.json.")
    return "\n\n".join([*parts, *([f"comparison  {file}"] if file is not None else [])])


def _facts(comparison: dict[str, Any]) -> str:
    data, folds = comparison["data"], comparison["folds"]
    who = "speakers not known" if data["speakers"] is None else f"{data['speakers']} speakers"
    rows = [
        ["command", comparison["command"]],
        ["date", f"{date(comparison['time']['started'])} UTC"],
        [
            "data",
            f"{data['dataset']}, scheme {data['scheme']}, protocol {data['protocol']}, {len(data['classes'])} classes",
        ],
        ["test", f"{data['utterances']} utterances, {who}"],
        [
            "paired",
            f"{comparison['runs']} runs by {comparison['paired_by']}, {len(folds)} fold{'s' * (len(folds) > 1)}",
        ],
    ]
    rows += [["stamp" if i == 0 else "", stamp] for i, stamp in enumerate(comparison["stamps"])]
    rows += [["note" if i == 0 else "", note] for i, note in enumerate(comparison["notes"])]
    return "\n".join(f"{name:<10}  {value}" for name, value in rows)


def _compared(comparison: dict[str, Any]) -> list[str]:
    rows = [["", "experiment", "head", "features", *METRICS]]
    for one in comparison["compared"]:
        name = one["experiment"] + (f" at {one['amount']}" if one["amount"] else "")
        rows.append([one["name"], name, one["head"], "+".join(one["features"]), *scores(one["pooled"])])
    return [*grid(rows, left=4), "Test predictions of all folds together, mean ± std over the runs that pair."]


def _pairs(comparison: dict[str, Any]) -> list[str]:
    return [*grid(difference_rows(comparison)), NOTE, *remarks(comparison)]


def difference_rows(comparison: dict[str, Any]) -> list[list[str]]:
    """Pairs with their difference and its tests, the heading first."""
    rows = [["", comparison["metric"], "95 %", *TESTS, "seeds"]]
    for pair in comparison["pairs"]:
        seeds = pair["power"]["seeds"]
        rows.append([_name(pair), *tested(pair), ABSENT if seeds is None else str(seeds)])
    return rows


def remarks(comparison: dict[str, Any]) -> list[str]:
    """Why there is no number of seeds, a line a pair; the number of speakers that would do where they are what lacks."""
    found = []
    for pair in comparison["pairs"]:
        power = pair["power"]
        more = ""
        if power["speakers"] and "speakers differ" in power["why"]:
            more = f"; with these {comparison['runs']} runs of each about {power['speakers']} would do"
        found += [f"{_name(pair)}: {power['why']}{more}."] if power["why"] else []
    return found


def _name(pair: dict[str, Any]) -> str:
    return f"{pair['a']} - {pair['b']}"


def _details(pair: dict[str, Any], metric: str) -> list[list[str]]:
    rows = [[_name(pair), "", pair["a"], pair["b"], "difference", "95 %"]]
    for name, by_score in pair["per_class"].items():
        rows += [[name if s == "recall" else "", s, *_cells(row)] for s, row in by_score.items()]
    found = [grid(rows, left=2)]
    gender, gap = pair["gender"]["groups"], pair["gender"]["gap"]
    if gender:
        rows = [[_name(pair), metric, pair["a"], pair["b"], "difference", "95 %"]]
        rows += [[name, f"{row['speakers']} speakers", *_cells(row)] for name, row in gender.items()]
        found.append(grid(rows, left=2))
    if gap:
        each = [f"{pair[k]} {gap[k]['gap']:+.3f} ({interval(gap[k]['ci_95'])})" for k in ("a", "b")]
        between = f"between them {gap['difference']:+.3f} ({interval(gap['ci_95'])})"
        found[-1].append(f"gap, {gap['of']}: {', '.join([*each, between])}")
    speakers = pair["speaker"]
    if speakers:
        found.append(_speakers(pair, metric))
    return found


def _speakers(pair: dict[str, Any], metric: str) -> list[str]:
    """How many do better with which, and the two ends."""
    rows = pair["speaker"]
    better = sum(row["difference"] > 0 for row in rows.values())
    worse = sum(row["difference"] < 0 for row in rows.values())
    sure = [sum(row["ci_95"] is not None and f(row["ci_95"]) for row in rows.values()) for f in (_above, _below)]
    order = sorted(rows, key=lambda name: (rows[name]["difference"], name))
    ends = [
        f"{name} {rows[name]['difference']:+.3f} ({interval(rows[name]['ci_95'])})" for name in (order[0], order[-1])
    ]
    return [
        f"{len(rows)} speakers, {metric}: {better} do better with {pair['a']} ({sure[0]} with an interval above 0), "
        f"{worse} with {pair['b']} ({sure[1]}),",
        f"from {ends[0]} to {ends[1]}",
    ]


def _above(bounds: list[float]) -> bool:
    return bounds[0] > 0


def _below(bounds: list[float]) -> bool:
    return bounds[1] < 0


def _cells(row: dict[str, Any]) -> list[str]:
    difference = ABSENT if row["difference"] is None else f"{row['difference']:+.3f}"
    return [number(row["a"]), number(row["b"]), difference, interval(row["ci_95"])]
