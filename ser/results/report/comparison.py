"""The first section of a report on several results: their scores beside each other, and tests of their differences."""

from collections.abc import Sequence

from ser.errors import SerError
from ser.results.records.find import dataset, fact
from ser.results.records.result import Source
from ser.results.report.blocks import Block, Notice, Section, Table, Text, table_of
from ser.results.report.comparison_text import NOTE, difference_rows, remarks
from ser.results.report.tables import ABSENT, interval, number
from ser.results.report.tidy import tidy
from ser.results.statistics.comparison import compare_results


def comparison_section(sources: Sequence[Source]) -> Section:
    """Pooled UA of each, and the paired differences as of `ser results compare`; where there are none, why not."""
    text, *rest = _differences(sources)
    return Section("Comparison", [text, _scores(sources), *rest])


def _scores(sources: Sequence[Source]) -> Table:
    head = ["experiment", "dataset", "head", "features", "of", "UA", "std", "95 % over runs", "runs", "stamps"]
    rows = []
    for s in sources:
        best = [row for row in tidy(s) if row["split"] == "pooled" and row["metric"] == "UA"]
        for row in best if not s.is_summary else best[-1:]:
            low = None if row["ci_95_low"] is None else [row["ci_95_low"], row["ci_95_high"]]
            words = [row["experiment"], dataset(s.result), str(fact(s.result, "head") or ABSENT)]
            words += ["+".join(fact(s.result, "stores") or ()) or ABSENT, row["of"] or "all test folds"]
            numbers = [number(row["mean"]), number(row["std"]), interval(low), str(row["n"])]
            rows.append([*words, *numbers, str(len(s.result["stamps"]))])
    return Table("Pooled UA of each result", head, rows, left=5, note="Test predictions of all folds together.")


def _differences(sources: Sequence[Source]) -> list[Block]:
    if not all(s.is_summary for s in sources):
        return [
            Text("No test of differences: one of these is not an experiment. A study has the tests of its own parts.")
        ]
    try:
        found = compare_results([str(s.path) for s in sources], sources[0].path.parent)
    except SerError as error:
        return [Text(f"Not compared: {error.line()}", lead=True)]
    letters = ", ".join(
        f"{one['name']} is {one['experiment']}" + (f" at {one['amount']}" if one["amount"] else "")
        for one in found["compared"]
    )
    folds = len(found["folds"])
    paired = f"{found['runs']} runs by {found['paired_by']}, {folds} fold{'s' * (folds > 1)}"
    table = table_of("Differences in UA, in pairs", difference_rows(found), note=NOTE)
    lines = [*found["stamps"], *found["notes"], *remarks(found)]
    notice: list[Block] = [Notice("What limits the comparison", lines)] if lines else []
    return [Text(f"{letters}. Paired: {paired}.", lead=True), table, *notice]
