"""Paired differences within a study: gains of a transfer (also in words), an ablation, few-shot methods, an ensemble."""

from collections.abc import Mapping, Sequence

import pandas as pd
from msgspec.structs import asdict

from ser.results.records.model import RunResult
from ser.results.records.names import amount_name, amount_of, amount_value
from ser.results.records.numbers import Comparison
from ser.results.records.study_numbers import Gain, MethodComparison, PositionComparison, VariantComparison
from ser.results.statistics import paired

SIGNIFICANT = 0.05
ENOUGH_RUNS = 4  # exchanging fewer whole runs, the p of both tests together is wrong: `benchmarks/statistics.md`


def comparisons(predictions: dict[str, pd.DataFrame], classes: Sequence[str], source: str, oracle: str) -> list[Gain]:
    """Compare each variant with the source's head alone, p-values adjusted for their number (Holm).

    Args:
        predictions: by variant.
        source: name of the variant that the others are compared with.
        oracle: name of the one that a gap is measured to; it need not be there. There is a gap where the whole interval of
            its gain is above 0.
    """
    whole = {name: frame.assign(fold="all") for name, frame in predictions.items()}
    others = [name for name in whole if name != source]
    each = [_compare_whole_runs(whole[name], whole[source], classes) for name in others]
    by_name = dict(zip(others, each, strict=True))
    top = by_name.get(oracle)
    if top is not None and (top.ci_95 is None or top.ci_95[0] <= 0):
        top = None
    gains = [
        Gain(
            **asdict(c),
            variant=name,
            p_holm=None,
            gap_closed=None if top is None or c is top else c.difference / top.difference,
            verdict="",
        )
        for name, c in by_name.items()
    ]
    for gain in paired.adjusted(gains):
        gain.verdict = transfer_verdict(gain.difference, gain.p_holm)
    return gains


def _compare_whole_runs(a: pd.DataFrame, b: pd.DataFrame, classes: Sequence[str]) -> Comparison:
    """Compare frames whose folds count as one, as `paired.compare`; p is None under `ENOUGH_RUNS` runs."""
    found = paired.compare(a, b, classes)
    if a["run"].nunique() < ENOUGH_RUNS:
        found.p = None
    return found


def transfer_verdict(gain: float, p: float | None) -> str:
    """A gain over the source's head alone in words.

    Args:
        p: adjusted for the number of comparisons; None where there are too few runs for it.

    >>> transfer_verdict(-0.02, 0.3), transfer_verdict(0.2, None), transfer_verdict(-0.0001, 0.9)
    ('negative transfer on average, not significant', 'gain on average; too few runs for a test', 'no gain shown')
    """
    gain = round(gain, 3)  # as it is shown
    if p is None:
        return ("gain" if gain > 0 else "negative transfer" if gain < 0 else "no gain") + " on average; too few runs for a test"
    if p < SIGNIFICANT:
        return "better than the source alone" if gain > 0 else "negative transfer: worse than the source alone"
    return "no gain shown" if gain >= 0 else "negative transfer on average, not significant"


def combination_verdict(gain: float, p: float | None, single: bool = False) -> str:
    """The gain of training on all corpora for one of them, in words; `p` is adjusted.

    Args:
        single: true if there is one model of each kind, so that another seed might reverse the result.

    >>> combination_verdict(0.02, 0.3), combination_verdict(-0.02, 0.01), combination_verdict(-0.02, 0.01, single=True)
    ('no difference shown', 'combining hurts', 'one model each: no test over models is possible')
    """
    if p is None or single:
        return "one model each: no test over models is possible"
    if p >= SIGNIFICANT:
        return "no difference shown"
    return "combining helps" if gain > 0 else "combining hurts"


def against(full: str, predictions: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> list[VariantComparison]:
    """Compare the full model of an ablation with each of the other variants, with p-values adjusted for their number."""
    found = [
        VariantComparison(**asdict(paired.compare(predictions[full], other, classes)), variant=name, p_holm=None)
        for name, other in predictions.items()
        if name != full
    ]
    return paired.adjusted(found)


def against_others(
    chosen: str, others: Sequence[str], predictions: Mapping[str, pd.DataFrame], classes: Sequence[str]
) -> list[PositionComparison]:
    """Compare the chosen position of an analysis of layers with some others, with p-values adjusted for their number."""
    found = [
        PositionComparison(**asdict(paired.compare(predictions[chosen], predictions[name], classes)), other=name, p_holm=None)
        for name in others
    ]
    return paired.adjusted(found)


def by_amount(done: Mapping[str, Sequence[tuple[RunResult, pd.DataFrame]]], classes: Sequence[str]) -> list[MethodComparison]:
    """Compare each few-shot method with the first at each amount, p-values adjusted for the number of all (Holm).

    Runs are exchanged whole, as one source model is tested in all folds.

    Args:
        done: by method its runs: what says the amount (`amount_of`), and predictions.
    """
    parts = {name: _whole(runs) for name, runs in done.items()}
    first, *others = parts
    found = [
        MethodComparison(
            **asdict(_compare_whole_runs(parts[name][amount], whole, classes)), amount=amount, method=name, p_holm=None
        )
        for amount, whole in parts[first].items()
        for name in others
    ]
    return paired.adjusted(found)


def _whole(runs: Sequence[tuple[RunResult, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """Predictions by amount, all folds as one."""
    frames: dict[str, list[pd.DataFrame]] = {}
    for row, predictions in runs:
        if row.percentage != 0:
            frames.setdefault(amount_name(**amount_of(row)), []).append(predictions)
    return {name: pd.concat(frames[name], ignore_index=True).assign(fold="all") for name in sorted(frames, key=amount_value)}


def against_members(ensemble: pd.DataFrame, predictions: pd.DataFrame, classes: Sequence[str]) -> Comparison:
    """Compare the ensemble's test predictions (one run) with those of its members, which are all the runs.

    Each member changes places with the same ensemble.
    """
    runs = sorted(predictions["run"].unique())
    beside = pd.concat([ensemble.assign(run=run) for run in runs], ignore_index=True)
    return paired.compare(beside, predictions, classes)
