"""Reliability of the probabilities: accuracy over confidence, bins of equal mass, with the ECE.

Of an evaluation with --calibrate before and after the temperatures.
"""

import numpy as np
from matplotlib.axes import Axes

from ser.results.cells import many, number, score
from ser.results.metrics.spread import ReliabilityOverRuns, reliability_over_runs
from ser.results.plotting.style import PALETTE, Figure, title
from ser.results.records.evaluation import Evaluation, ProbabilityScores, Reliability
from ser.results.stored_result import StoredResult

ORDER = 70


def fits(result: StoredResult) -> bool:
    return (result.is_summary and not result.numbers.outputs) or isinstance(result.record, Evaluation)


def draw(result: StoredResult, metric: str) -> Figure:
    if isinstance(result.record, Evaluation):
        return _before_and_after(result.record)
    found = reliability_over_runs(result.test)
    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    _panel(figure.add_subplot(), found)
    bins, ece = len(found.n), found.ECE
    detail = f"ECE {score(ece)} over {many(ece.n, 'run')}; {bins} bins of {sum(found.n) / bins:.0f} predictions"
    title(figure, result.record, detail)
    return figure


def words(result: StoredResult, metric: str) -> str:
    if isinstance(result.record, Evaluation):
        return "; ".join(f"{name}: {_ece(found)}" for name, found in _states(result.record).items()) + "."
    found = reliability_over_runs(result.test)
    gap = found.gap
    low, high = gap.ci_95 or (gap.mean, gap.mean)
    sure = "too sure" if low > 0 else "not sure enough" if high < 0 else "neither too sure nor too unsure"
    return f"ECE {score(found.ECE)}: on average {sure}, confidence minus accuracy {score(gap)}."


def _states(record: Evaluation) -> dict[str, ProbabilityScores]:
    names = {"uncalibrated": "as stored", "calibrated": "under the temperatures"}
    return {names[state]: found for state, found in record.probabilities.states.items()}


def _ece(found: ProbabilityScores) -> str:
    return f"ECE {score(found.ECE)} (by chance {number(found.ECE_by_chance.mean)})"


def _before_and_after(record: Evaluation) -> Figure:
    states = _states(record)
    figure = Figure(figsize=(4.2 * len(states), 4.7), layout="constrained")
    for place, (name, found) in enumerate(states.items(), 1):
        axes = figure.add_subplot(1, len(states), place)
        _panel(axes, found.reliability)
        axes.set_title(f"{name}\n{_ece(found)}", fontsize=10)
    n = next(iter(states.values())).reliability.n
    title(
        figure,
        record,
        f"{len(n)} bins of {sum(n) / len(n):.0f} utterances, mean over {many(record.scores.main.n, record.unit)}",
    )
    return figure


def _panel(axes: Axes, found: Reliability | ReliabilityOverRuns) -> None:
    axes.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, label="perfectly calibrated")
    sure, accuracy = np.array(found.confidence), np.array(found.accuracy)
    axes.vlines(sure, np.minimum(sure, accuracy), np.maximum(sure, accuracy), color=PALETTE[1], linewidth=2, label="gap")
    axes.plot(sure, accuracy, "o-", color=PALETTE[0], linewidth=1.2, markersize=5, label="head")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("confidence: probability of the predicted class")
    axes.set_ylabel("accuracy: share of predictions that are right")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="upper left")
