"""Learning curves: losses and validation scores over the epochs, of every training (a run on a fold) and together."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ser.metadata.targets import EMOTION, LABELS, VOTES
from ser.results.plotting.style import PALETTE, Figure, title
from ser.results.records.find import fact_of
from ser.results.records.model import RunRecord
from ser.results.stored_result import StoredResult

ORDER = 60
MANY_TRAININGS = 20  # more are drawn as their median and a band
BAND = (10, 90)  # percentiles
# What the validation loss is, by target; of dimensions it is the MSE in standard deviations (`ser.train.loop.validation`).
LOSSES = {EMOTION: "cross-entropy", VOTES: "cross-entropy with the votes", LABELS: "binary cross-entropy"}
Curves = dict[str, list[list[float]]]


def fits(result: StoredResult) -> bool:
    return result.is_summary and bool(curves_of(result.records))


def draw(result: StoredResult, metric: str) -> Figure:
    """Draw each training and their mean; of many, their median and a band.

    Trainings may end early: at an epoch, mean, median and band are of those that still ran, and they end where fewer than
    half do.
    """
    curves, names = curves_of(result.records), names_of(result)
    of_losses = {name: runs for name, runs in curves.items() if "loss" in name.lower()}
    of_scores = {name: runs for name, runs in curves.items() if name not in of_losses}
    panels = [(label, found) for label, found in (("loss", of_losses), ("score", of_scores)) if found]
    figure = Figure(figsize=(5.0 * len(panels), 4.2), layout="constrained")
    for number, (label, panel) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), number)
        for (name, runs), colour in zip(panel.items(), PALETTE * len(panel), strict=False):
            draw_curve(axes, names(name), runs, colour)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    trainings = max(map(len, curves.values()))
    detail = f"each of {trainings} trainings (thin), and their mean"
    if trainings > MANY_TRAININGS:
        detail = f"median of {trainings} trainings, band from the {BAND[0]}th to the {BAND[1]}th percentile"
    early = len({len(values) for values in next(iter(curves.values()))}) > 1
    title(figure, result.record, detail + (", over those that still ran, while at least half did" if early else ""))
    return figure


def words(result: StoredResult, metric: str) -> str:
    curves = curves_of(result.records)
    lengths = [len(values) for values in next(iter(curves.values()))]
    names = names_of(result)
    ends = {names(name): middle_curve(runs) for name, runs in curves.items()}
    last = ", ".join(f"{name} {line[-1]:.3f} (epoch {len(line)})" for name, line in ends.items())
    what = "median" if len(lengths) > MANY_TRAININGS else "mean"
    epochs = f"{min(lengths)} to {max(lengths)}" if min(lengths) < max(lengths) else str(lengths[0])
    best = sorted(r.best_epoch for r in result.records if r.best_epoch)
    picked = f"; chosen epochs {best[0]} to {best[-1]}" if best else ""
    return f"{len(lengths)} trainings of {epochs} epochs{picked}. Where the line of the {what} ends: {last}."


def names_of(result: StoredResult) -> Callable[[str], str]:
    """The legends of curves: the validation loss, which is not that of training, with what it is."""
    learned = str(fact_of(result.record, "learns") or EMOTION)
    kind = "cross-entropy + MSE" if learned.startswith(f"{EMOTION},") else LOSSES.get(learned, "MSE")
    return lambda name: name.replace("_", " ") + (f" ({kind})" if name == "validation_loss" else "")


def curves_of(records: Sequence[RunRecord]) -> Curves:
    """The curves of runs by name, one list per training; an undefined value is NaN."""
    curves: Curves = {}
    for record in records:
        for name, values in (record.curves or {}).items():
            numbers = [np.nan if v is None else float(v) for v in values]
            if numbers:
                curves.setdefault(name, []).append(numbers)
    return curves


def middle_curve(runs: list[list[float]]) -> NDArray[np.float64]:
    """The line of one curve over all trainings, `(epochs,)`: their mean, of many their median."""
    kept = _kept(runs)
    return np.asarray(np.nanmedian(kept, axis=0) if len(runs) > MANY_TRAININGS else np.nanmean(kept, axis=0))


def _kept(runs: list[list[float]]) -> NDArray[np.float64]:
    """`(trainings, epochs)`, NaN after the end of a training, as far as half of them go."""
    padded = np.full((len(runs), max(map(len, runs))), np.nan)
    for row, values in zip(padded, runs, strict=True):
        row[: len(values)] = values
    return padded[:, : int((np.arange(padded.shape[1]) < np.median([len(v) for v in runs])).sum())]


def draw_curve(axes: Axes, name: str, runs: list[list[float]], colour: str) -> None:
    """Draw one curve of all trainings."""
    line = middle_curve(runs)
    epochs = np.arange(1, len(line) + 1)
    if len(runs) > MANY_TRAININGS:
        low, high = np.nanpercentile(_kept(runs), BAND, axis=0)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
    else:
        for values in runs:
            axes.plot(np.arange(1, len(values) + 1), values, color=colour, linewidth=0.6, alpha=0.5 / len(runs) ** 0.3)
    axes.plot(epochs, line, color=colour, linewidth=2, label=name)
