"""Pictures of summaries: confusion matrix, learning curves; few-shot curves are in
`ser.results.plotting.fewshot_curves`. No display is needed.

Colours: one hue from light to dark, and Okabe and Ito's palette (Wong, Nature Methods 2011): both are told apart by people
with any common colour blindness, and in grey. What is plainly black (frames, words, lines of reference) has the colour of
the text around it where a picture is part of a page; `INK` on a coloured cell stays dark.
"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ser.errors import ConfigError
from ser.results.records.find import dataset
from ser.results.records.result import Source
from ser.workspace import writing

FORMATS = (".png", ".svg", ".pdf")
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK = "#111111"  # words on a light cell
MANY_TRAININGS = 20  # more are drawn as their median and a band
BAND = (10, 90)  # percentiles
FULL_NAMES = {
    "UA": "UA (unweighted average recall)",
    "WA": "WA (accuracy)",
    "WF1": "weighted F1",
    "Macro_F1": "macro F1",
}


def save(figure: Figure, path: Path) -> None:
    """Write a figure whole; the same figure gives the same bytes on every day.

    Raises:
        ConfigError: the file's ending is no known format.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise ConfigError(f"cannot plot into {path}", expected=f"a file ending in {', '.join(FORMATS)}")
    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with (
        mpl.rc_context({"svg.hashsalt": "ser", "svg.fonttype": "none", "pdf.fonttype": 42}),
        writing(path) as temporary,
    ):
        figure.savefig(temporary, format=ending[1:], dpi=150, metadata=dates.get(ending, {}))


def confusion_matrix(summary: dict[str, Any]) -> Figure:
    """Counts and row percentages of the pooled test predictions; of a few-shot summary, at its largest percentage."""
    part, where = summary, ""
    if "percentages" in summary:
        name = list(summary["percentages"])[-1]
        part, where = summary["percentages"][name], f", at {name} of the target's data"
    matrix = part["confusion_matrix"]
    labels, counts = matrix["labels"], np.array(matrix["counts"])
    total = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(total, 1)
    size = max(2.6, 0.68 * len(labels))  # of the cells, in inches; beside them stand labels and the colour bar
    figure = Figure(figsize=(size + 2.5, size + 1.6), layout="constrained")
    axes = figure.add_subplot()
    edges = np.arange(len(labels) + 1) - 0.5
    image = axes.pcolormesh(edges, edges, share, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
    axes.set(aspect="equal", ylim=(len(labels) - 0.5, -0.5))
    for i in range(len(labels)):
        for j in range(len(labels)):
            words = f"{100 * share[i, j]:.0f} %\n{counts[i, j]}" if total[i, 0] else "none"
            colour = "white" if share[i, j] > 0.55 else INK
            axes.text(j, i, words, ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    ua = part["pooled"]["UA"]["mean"]
    title(figure, summary, f"UA {ua:.3f}, counts over {runs_of(matrix['runs'])}{where}")
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=28, ticks=[0, 0.5, 1])
    as_vector(bar)
    bar.ax.set_yticklabels(["0 %", "50 %", "100 %"])
    bar.set_label("share of the true class")
    return figure


def learning_curves(summary: dict[str, Any], path: Path) -> Figure:
    """The curves of every training (a run on a fold) over the epochs, and their mean; of many, their median and a band.

    Trainings may end early: at an epoch, mean, median and band are of those that were still trained, and they end where fewer
    than half are.

    Args:
        path: the summary's file: the runs' records are found from its folder.

    Raises:
        ConfigError: a record is missing or damaged, or none has curves.
    """
    curves = curves_of(Source(path, summary).records)
    if not curves:
        raise ConfigError(f"the runs of {summary['experiment']} have no learning curves")
    panels = [p for p in (_panel(curves, True), _panel(curves, False)) if p]
    figure = Figure(figsize=(5.0 * len(panels), 4.2), layout="constrained")
    for number, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), number)
        for (name, runs), colour in zip(panel.items(), PALETTE * len(panel), strict=False):
            _curves(axes, name, runs, colour)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel("loss" if all("loss" in name.lower() for name in panel) else "score")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    records = max(map(len, curves.values()))
    if records > MANY_TRAININGS:
        low, high = BAND
        detail = f"median of {records} trainings, band from the {low}th to the {high}th percentile"
    else:
        detail = f"each of {records} trainings (thin), and their mean"
    early = len({len(values) for values in next(iter(curves.values()))}) > 1
    title(figure, summary, detail + (", over those still trained, while at least half are" if early else ""))
    return figure


def curves_of(records: Sequence[dict[str, Any]]) -> dict[str, list[list[float]]]:
    """The records' curves by name, a list a training; what is undefined is NaN."""
    curves: dict[str, list[list[float]]] = {}
    for record in records:
        for name, values in record.get("curves", {}).items():
            numbers = [np.nan if v is None else float(v) for v in values]
            if numbers:
                curves.setdefault(name, []).append(numbers)
    return curves


def _panel(curves: dict[str, list[list[float]]], loss: bool) -> dict[str, list[list[float]]]:
    return {name: runs for name, runs in curves.items() if ("loss" in name.lower()) == loss}


def drawn(runs: list[list[float]]) -> np.ndarray[Any, Any]:
    """The line of one curve of all trainings, `(epochs,)`: their mean, of many their median; see `learning_curves`."""
    kept = _kept(runs)
    middle = np.nanmedian(kept, axis=0) if len(runs) > MANY_TRAININGS else np.nanmean(kept, axis=0)
    return np.asarray(middle)


def _kept(runs: list[list[float]]) -> np.ndarray[Any, Any]:
    """`(trainings, epochs)`, NaN after the end of one, as far as half are trained."""
    padded = np.full((len(runs), max(map(len, runs))), np.nan)
    for row, values in zip(padded, runs, strict=True):
        row[: len(values)] = values
    return padded[:, : int((np.arange(padded.shape[1]) < np.median([len(v) for v in runs])).sum())]


def _curves(axes: Axes, name: str, runs: list[list[float]], colour: str) -> None:
    kept, line = _kept(runs), drawn(runs)
    epochs, label = np.arange(1, kept.shape[1] + 1), name.replace("_", " ")
    if len(runs) > MANY_TRAININGS:
        low, high = np.nanpercentile(kept, BAND, axis=0)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(epochs, line, color=colour, linewidth=2, label=label)
        return
    for values in runs:
        axes.plot(np.arange(1, len(values) + 1), values, color=colour, linewidth=0.6, alpha=0.5 / len(runs) ** 0.3)
    axes.plot(epochs, line, color=colour, linewidth=2, label=label)


def as_vector(bar: Colorbar) -> None:
    """Have a colour bar drawn as shapes without seams, not as an embedded image."""
    assert bar.solids is not None
    bar.solids.set_rasterized(False)
    bar.solids.set_edgecolor("face")


def runs_of(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"


def title(figure: Figure, summary: dict[str, Any], detail: str) -> None:
    """Experiment on one line, dataset and detail below; what is longer than the picture is wide is cut or wrapped."""
    room = int(figure.get_figwidth() * 11)
    name = str(summary["experiment"])
    name = name if len(name) <= room else name[: room - 3] + "..."
    lines = [name, *wrap(f"{dataset(summary)}, {detail}", room)]
    lines += ["SYNTHETIC audio, no recording of people"] if any("synthetic" in s for s in summary["stamps"]) else []
    figure.suptitle("\n".join(lines), fontsize=10)


def strip_title(figure: Figure) -> str:
    """Take the title away, for a picture that has a caption; gives what it said besides the experiment's name."""
    words = " ".join(figure.get_suptitle().split("\n")[1:])
    figure.suptitle("")
    return words
