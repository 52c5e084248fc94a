"""Risk over coverage: the share of wrong answers when only the surest utterances are answered."""

from typing import Any

import numpy as np

from ser.results.cells import many, score
from ser.results.plotting.style import PALETTE, Figure, title
from ser.results.records.evaluation import Evaluation, RiskCurve
from ser.results.stored_result import StoredResult

ORDER = 72


def fits(result: StoredResult) -> bool:
    return isinstance(result.record, Evaluation)


def draw(result: StoredResult, metric: str) -> Figure:
    record = result.record
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for (name, part), colour in zip(record.parts.items(), PALETTE, strict=False):
        found = part.selective
        axes.plot(found.curve.coverage, found.curve.risk, color=colour, linewidth=1.8)
        axes.lines[-1].set_label(f"{name}, AURC {found.AURC.mean:.3f}")
    curve = record.selective.curve
    axes.plot(curve.coverage, perfect(curve), color="black", linestyle=":", linewidth=1.2, label="perfect order")
    axes.axhline(curve.risk[-1], color="black", linestyle="--", linewidth=1, label="order at random")
    held = reached(record)
    if held:
        label = "threshold from validation, for a risk of\n" + ", ".join(f"{100 * asked:g} %" for asked, *_ in held)
        axes.plot([c for _, c, _ in held], [r for *_, r in held], "D", color=PALETTE[3], markersize=6, label=label)
    axes.set(xlim=(0, 1), ylim=(0, min(1.0, 1.15 * max(curve.risk[-1], *curve.risk, *(r for *_, r in held)))))
    axes.set_xlabel("coverage: share of utterances that are answered, the surest first")
    axes.set_ylabel("risk: share of them that are wrong")
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    state = "as stored" if record.probabilities.calibrated is None else "under the temperatures"
    title(figure, record, f"probabilities {state}, mean over {many(record.scores.main.n, record.unit)}")
    return figure


def words(result: StoredResult, metric: str) -> str:
    record = result.record
    found = record.selective
    some = {share: found.accuracy_at[share] for share in ("1", "0.8", "0.5") if share in found.accuracy_at}
    answered = ", ".join(f"{float(share):.0%} answered {1 - m.mean:.3f}" for share, m in some.items())
    held = "".join(f" Asked for {asked:.0%}: {cover:.0%} answered, risk {risk:.3f}." for asked, cover, risk in reached(record))
    return f"Risk: {answered}. AURC {score(found.AURC)}, {score(found.E_AURC)} above that of a perfect order.{held}"


def perfect(curve: RiskCurve) -> "np.ndarray[Any, Any]":
    """The risk of the same answers in a perfect order: none is wrong until all right ones are given."""
    coverage, risk = np.array(curve.coverage, dtype=np.float64), float(curve.risk[-1])
    return np.asarray(np.maximum(0.0, coverage - (1 - risk)) / coverage)


def reached(record: Evaluation) -> list[tuple[float, float, float]]:
    """Accepted risk, with coverage and risk under thresholds from validation; without thresholds that answer nothing."""
    held = record.selective.from_validation or {}
    return [(float(asked), v.coverage.mean, v.risk.mean) for asked, v in held.items() if v.risk is not None]
