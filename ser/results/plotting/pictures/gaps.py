"""UA of each gender and speaker of an evaluation, with bootstrap intervals, the best speaker on top."""

from typing import Any

from matplotlib.figure import Figure

from ser.results.plotting.bars import draw_points
from ser.results.plotting.style import title
from ser.results.records.names import EVALUATION_SCHEMA
from ser.results.records.result import Source

ORDER = 76
MANY = 40  # of more speakers, the best and the worst half of this number are shown


def fits(source: Source) -> bool:
    return source.schema == EVALUATION_SCHEMA and any(source.result["groups"].values())


def draw(source: Source, metric: str) -> Figure:
    rows, values = [], []
    for kind, found in source.result["groups"].items():
        for name, g in _shown(kind, found):
            rows.append(f"{name} (n {g['n']})")
            values.append({"mean": g["UA"]["mean"], "ci_95": g["UA"]["ci_95"]})
    mean = source.result["scores"]["UA"]["mean"]
    figure = Figure(figsize=(5.6, 1.6 + 0.24 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    draw_points(axes, rows, values, "UA (unweighted average recall)")
    axes.axvline(mean, color="black", linestyle="--", linewidth=1, label=f"all together, {mean:.3f}")
    axes.set_xlim(0, 1)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False, fontsize=9)
    drawn = "95 % of genders: speakers drawn again; of speakers: utterances drawn again within each class"
    title(figure, source.result, f"{drawn}; n: utterances")
    return figure


def words(source: Source, metric: str) -> str:
    told = []
    gender, speaker = source.result["groups"]["gender"], source.result["groups"]["speaker"]
    if gender:
        each = ", ".join(f"{name} {g['UA']['mean']:.3f}" for name, g in gender["groups"].items())
        told.append(f"UA by gender: {each}")
    if speaker:
        gap = speaker["gap"]
        low, high = (speaker["groups"][gap[end]]["UA"]["mean"] for end in ("lowest", "highest"))
        told.append(f"speakers from {low:.3f} ({gap['lowest']}) to {high:.3f} ({gap['highest']}), p {gap['p']:.4f}")
    return "; ".join(told) + "."


def _shown(kind: str, found: dict[str, Any] | None) -> list[tuple[str, dict[str, Any]]]:
    groups = {} if found is None else found["groups"]
    order = sorted(
        groups.items(), key=lambda item: (-item[1]["UA"]["mean"], item[0]) if kind == "speaker" else (0, item[0])
    )
    return order if len(order) <= MANY else [*order[: MANY // 2], *order[-MANY // 2 :]]
