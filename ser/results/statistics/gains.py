"""Paired differences within a study: a transfer's gains, in words too, an ablation's and few-shot methods'."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ser.results.records.names import amount_name, amount_of, amount_value
from ser.results.statistics import paired

SIGNIFICANT = 0.05
ENOUGH_RUNS = 4  # with fewer that are dealt whole, p of both together is off: `benchmarks/statistics.md`


def comparisons(
    predictions: dict[str, pd.DataFrame], classes: Sequence[str], source: str, oracle: str
) -> list[dict[str, Any]]:
    """Each variant against the source's head alone, p-values adjusted for their number (Holm).

    Args:
        predictions: by variant.
        source: name of the variant that the others are compared with.
        oracle: name of the one that a gap is measured to; it need not be there. There is a gap where the whole interval of
            its gain is above 0.
    """
    whole = {name: frame.assign(fold="all") for name, frame in predictions.items()}
    others = [name for name in whole if name != source]
    found = paired.with_holm(
        [{"variant": name, **_dealt_whole(whole[name], whole[source], classes)} for name in others]
    )
    top = next((c for c in found if c["variant"] == oracle and c["ci_95"] is not None and c["ci_95"][0] > 0), None)
    return [
        {
            **c,
            "gap_closed": None if top is None or c is top else c["difference"] / top["difference"],
            "verdict": verdict(c["difference"], c["p_holm"]),
        }
        for c in found
    ]


def _dealt_whole(a: pd.DataFrame, b: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """`paired.compare` of frames whose folds count as one; p is None under `ENOUGH_RUNS` runs."""
    found = paired.compare(a, b, classes)
    return found if a["run"].nunique() >= ENOUGH_RUNS else {**found, "p": None}


def verdict(gain: float, p: float | None) -> str:
    """A gain over the source's head alone in words.

    Args:
        p: adjusted for the number of comparisons; None where there are too few runs for it.

    >>> verdict(-0.02, 0.3), verdict(0.2, None), verdict(-0.0001, 0.9)
    ('negative transfer on average, not significant', 'gain on average; too few runs for a test', 'no gain shown')
    """
    gain = round(gain, 3)  # as it is shown
    if p is None:
        return (
            "gain" if gain > 0 else "negative transfer" if gain < 0 else "no gain"
        ) + " on average; too few runs for a test"
    if p < SIGNIFICANT:
        return "better than the source alone" if gain > 0 else "negative transfer: worse than the source alone"
    return "no gain shown" if gain >= 0 else "negative transfer on average, not significant"


def against(full: str, predictions: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> list[dict[str, Any]]:
    """The full model of an ablation against each of the other variants, with p-values adjusted for their number."""
    return paired.with_holm(
        [
            {"variant": name, **paired.compare(predictions[full], other, classes)}
            for name, other in predictions.items()
            if name != full
        ]
    )


def by_amount(
    done: Mapping[str, Sequence[tuple[Mapping[str, Any], pd.DataFrame]]], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Each few-shot method against the first at each amount, p-values adjusted for the number of all (Holm).

    Runs are dealt whole, as one source model is tested in all folds.

    Args:
        done: by method its runs: what says the amount (`amount_of`), and predictions.
    """
    parts = {name: _whole(runs) for name, runs in done.items()}
    first, *others = parts
    return paired.with_holm(
        [
            {"amount": amount, "method": name, **_dealt_whole(parts[name][amount], whole, classes)}
            for amount, whole in parts[first].items()
            for name in others
        ]
    )


def _whole(runs: Sequence[tuple[Mapping[str, Any], pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """Predictions by amount, all folds as one."""
    frames: dict[str, list[pd.DataFrame]] = {}
    for row, predictions in runs:
        if row.get("percentage") != 0:
            frames.setdefault(amount_name(**amount_of(row)), []).append(predictions)
    return {
        name: pd.concat(frames[name], ignore_index=True).assign(fold="all") for name in sorted(frames, key=amount_value)
    }
