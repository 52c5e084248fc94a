"""Transfer matrix: every corpus as source and as target, dark where the score is high, its number written in the cell.

One hue from light to dark, so that the order is the same in grey and for people who are colour-blind. The diagonal, the
means and remarks, which are not a matter of more or less, are shown by frames, gaps and signs, not by colour.
"""

from textwrap import fill
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from ser.results.plotting.style import INK, Figure, as_vector, title
from ser.results.records.numbers import Described
from ser.results.stored_result import StoredResult
from ser.results.studies.transfer_matrix import Cell, Study

ORDER = 20
GAP = 0.15  # between the matrix and its means, in cells
COLOURS = "Blues"


def fits(result: StoredResult) -> bool:
    return isinstance(result.record, Study)


def draw(result: StoredResult, metric: str) -> Figure:
    """Draw source x target, mean ± std over runs, and the means without the diagonal. UA is coloured from chance to 1."""
    study: Study = result.record
    names, cells = study.datasets, study.by_pair()
    number = len(names)
    low = 1 / len(study.data["label_space"]["classes"]) if metric == "UA" else 0.0
    room = 0.075 * max(map(len, names))  # for names, in inches
    figure = Figure(figsize=(0.95 * number + room + 3.2, 0.68 * number + 0.5 * room + 2.8), layout="constrained")
    axes, scale = figure.add_subplot(), Normalize(low, 1)
    for row, trained in enumerate(names):
        for column, target in enumerate(names):
            cell = cells[trained, target]
            _cell(axes, column, row, cell.pooled.of(metric), scale, _marks(cell))
        _cell(axes, number + GAP, row, study.sources[trained].of(metric), scale)
        _cell(axes, row, number + GAP, study.targets[trained].of(metric), scale)
        axes.add_patch(Rectangle((row + 0.04, row + 0.04), 0.92, 0.92, fill=False, edgecolor=INK, linewidth=1.5))
    axes.set(xlim=(0, number + 1 + GAP), ylim=(number + 1 + GAP, 0), aspect=0.72)
    places = [*(k + 0.5 for k in range(number)), number + GAP + 0.5]
    turned: dict[str, Any] = {"rotation": 40, "ha": "left", "rotation_mode": "anchor"} if room > 0.7 else {}
    axes.set_xticks(places, [*names, "others"], **turned)
    axes.set_yticks(places, [*names, "others"])
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("tested on")
    axes.set_ylabel("trained on")
    bar = figure.colorbar(ScalarMappable(scale, COLOURS), ax=axes, shrink=0.8, aspect=28)
    as_vector(bar)
    bar.set_label(metric.replace("_", " ") + (", from chance to 1" if metric == "UA" else ""))
    words = "framed: within a corpus, under its own protocol; others: means without the frame"
    signs = {"/": "no language shared", "?": "classes predicted as each other, see the report"}
    seen = "".join(_marks(c) for c in study.cells)
    words = "; ".join([words, *(f"{sign}: {what}" for sign, what in signs.items() if sign in seen)])
    figure.supxlabel(fill(words, int(figure.get_figwidth() * 14)), fontsize=8)
    runs = study.cells[0].pooled.of(metric).n
    title(figure, study, "1 run" if runs == 1 else f"mean ± std over {runs} runs")
    return figure


def words(result: StoredResult, metric: str) -> str:
    cells = [
        f"{c.source} to {c.target} {c.pooled.of(metric).mean:.3f}" + (" (within)" if c.within else "")
        for c in result.record.cells
    ]
    return f"{metric.replace('_', ' ')}: {', '.join(cells)}."


def _cell(axes: Axes, x: float, y: float, value: Described, scale: Normalize, marks: str = "") -> None:
    share = min(1.0, max(0.0, float(scale(value.mean))))
    face = colormaps[COLOURS](share)
    ink = "white" if np.dot(face[:3], (0.299, 0.587, 0.114)) < 0.5 else INK  # by how bright the cell looks
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=face, edgecolor="white", linewidth=1))
    spread = "" if value.std is None else f"\n± {value.std:.3f}"
    axes.text(x + 0.5, y + 0.5, f"{value.mean:.3f}{spread}", ha="center", va="center", fontsize=9, color=ink)
    axes.text(x + 0.93, y + 0.1, marks, ha="right", va="top", fontsize=9, color=ink)


def _marks(cell: Cell) -> str:
    return ("/" if cell.cross_language else "") + ("?" if cell.suspects else "")
