"""Reliability of the probabilities: accuracy over confidence, bins of equal mass, with the ECE.

Of an evaluation with --calibrate before and after the temperatures.
"""

from typing import Any

from matplotlib.figure import Figure

from ser.results.plotting.reliability import diagram, diagrams, of_predictions
from ser.results.plotting.style import runs_of, title
from ser.results.records.names import EVALUATION_SCHEMA
from ser.results.records.result import Source
from ser.results.report.evaluation_tables import units_of
from ser.results.report.tables import number, score

ORDER = 70


def fits(source: Source) -> bool:
    return source.is_summary or source.schema == EVALUATION_SCHEMA


def draw(source: Source, metric: str) -> Figure:
    if source.schema == EVALUATION_SCHEMA:
        return _before_and_after(source.result)
    found = of_predictions(source.test)
    figure = diagram(found)
    bins, ece = len(found["n"]), found["ECE"]
    detail = f"ECE {score(ece)} over {runs_of(ece['n'])}; {bins} bins of {sum(found['n']) / bins:.0f} predictions"
    title(figure, source.result, detail)
    return figure


def words(source: Source, metric: str) -> str:
    if source.schema == EVALUATION_SCHEMA:
        return "; ".join(f"{name}: {_ece(found)}" for name, found in _states(source.result).items()) + "."
    found = of_predictions(source.test)
    gap = found["gap"]
    low, high = gap["ci_95"] or (gap["mean"], gap["mean"])
    sure = "too sure" if low > 0 else "not sure enough" if high < 0 else "neither too sure nor too unsure"
    return f"ECE {score(found['ECE'])}: on average {sure}, confidence minus accuracy {score(gap)}."


def _states(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    names = {"uncalibrated": "as stored", "calibrated": "under the temperatures"}
    found = record["probabilities"]
    return {name: found[state] for state, name in names.items() if found[state] is not None}


def _ece(found: dict[str, Any]) -> str:
    return f"ECE {score(found['ECE'])} (by chance {number(found['ECE_by_chance']['mean'])})"


def _before_and_after(record: dict[str, Any]) -> Figure:
    states = _states(record)
    figure = diagrams({f"{name}\n{_ece(found)}": found["reliability"] for name, found in states.items()})
    n = next(iter(states.values()))["reliability"]["n"]
    title(figure, record, f"{len(n)} bins of {sum(n) / len(n):.0f} utterances, mean over {units_of(record)}")
    return figure
