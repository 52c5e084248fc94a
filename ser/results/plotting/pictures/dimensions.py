"""Predicted over rated value of each dimension: a point for each test utterance, the mean over runs, and the diagonal."""

import numpy as np
from msgspec import UNSET

from ser.results.cells import many, number
from ser.results.metrics.measures import ratings_beside
from ser.results.plotting.style import PALETTE, Figure, title
from ser.results.records.numbers import OutputScores
from ser.results.stored_result import StoredResult

ORDER = 35


def fits(result: StoredResult) -> bool:
    return result.is_summary and bool(_scores(result))


def draw(result: StoredResult, metric: str) -> Figure:
    names, test = list(_scores(result)), result.test
    if result.numbers.outputs is UNSET:  # beside classes
        test = test.assign(**ratings_beside(test)[1])
    columns = [f"{prefix}{name}" for name in names for prefix in ("t_", "p_")]
    mean = test.astype(dict.fromkeys(columns, float)).groupby("utterance_id", sort=True)[columns].mean()
    figure = Figure(figsize=(3.6 * len(names) + 0.6, 4.4), layout="constrained")
    for place, name in enumerate(names, 1):
        axes = figure.add_subplot(1, len(names), place)
        rated, predicted = mean[f"t_{name}"].to_numpy(), mean[f"p_{name}"].to_numpy()
        both = np.concatenate([rated, predicted])
        room = 0.05 * (both.max() - both.min() or 1.0)
        ends = (both.min() - room, both.max() + room)
        axes.plot(ends, ends, color="black", linestyle="--", linewidth=1)
        axes.scatter(rated, predicted, s=9, color=PALETTE[0], alpha=0.4, linewidths=0)
        axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel=f"rated {name}", ylabel=f"predicted {name}")
        axes.set_title(f"CCC {number(_ccc(result, name))}", fontsize=10)
        axes.grid(alpha=0.3)
    title(figure, result.record, f"{many(len(mean), 'utterance')}, mean of {many(test['run'].nunique(), 'run')}")
    return figure


def words(result: StoredResult, metric: str) -> str:
    return "CCC: " + ", ".join(f"{name} {number(_ccc(result, name))}" for name in _scores(result)) + "."


def _scores(result: StoredResult) -> dict[str, OutputScores]:
    """The scores of each dimension, mean over runs; {} where there are none."""
    numbers = result.numbers
    if numbers.ratings is not UNSET:
        return numbers.ratings
    return numbers.outputs if numbers.outputs is not UNSET and "CCC" in result.metrics else {}


def _ccc(result: StoredResult, name: str) -> float:
    return float(_scores(result)[name].CCC or 0.0)
