"""UA of each gender and speaker of an evaluation, with bootstrap intervals, the best speaker on top."""

from ser.results.plotting.bars import Estimate, draw_points, ends_of
from ser.results.plotting.style import Figure, title
from ser.results.records.evaluation import Evaluation
from ser.results.records.gaps import EvaluatedGender, EvaluatedSpeaker, Genders, Speakers
from ser.results.stored_result import StoredResult

ORDER = 76


def fits(result: StoredResult) -> bool:
    return isinstance(result.record, Evaluation) and any(_groups(result.record).values())


def draw(result: StoredResult, metric: str) -> Figure:
    rows, values = [], []
    for kind, found in _groups(result.record).items():
        for name, g in _shown(kind, found):
            rows.append(f"{name} (n {g.n})")
            values.append(Estimate(g.UA.mean, g.UA.ci_95))
    mean = result.record.scores.UA.mean
    figure = Figure(figsize=(5.6, 1.6 + 0.24 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    draw_points(axes, rows, values, "UA (unweighted average recall)")
    axes.axvline(mean, color="black", linestyle="--", linewidth=1, label=f"all together, {mean:.3f}")
    axes.set_xlim(0, 1)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False, fontsize=9)
    drawn = "95 % of genders: speakers drawn again; of speakers: utterances drawn again within each class"
    title(figure, result.record, f"{drawn}; n: utterances")
    return figure


def words(result: StoredResult, metric: str) -> str:
    found = []
    gender, speaker = result.record.groups.gender, result.record.groups.speaker
    if gender:
        each = ", ".join(f"{name} {g.UA.mean:.3f}" for name, g in gender.groups.items())
        found.append(f"UA by gender: {each}")
    if speaker:
        gap = speaker.gap
        low, high = (speaker.groups[name].UA.mean for name in (gap.lowest, gap.highest))
        found.append(f"speakers from {low:.3f} ({gap.lowest}) to {high:.3f} ({gap.highest}), p {gap.p:.4f}")
    return "; ".join(found) + "."


def _groups(record: Evaluation) -> dict[str, Genders | Speakers | None]:
    return {"gender": record.groups.gender, "speaker": record.groups.speaker}


def _shown(kind: str, found: Genders | Speakers | None) -> list[tuple[str, EvaluatedGender | EvaluatedSpeaker]]:
    groups: list[tuple[str, EvaluatedGender | EvaluatedSpeaker]] = [] if found is None else [*found.groups.items()]
    order = sorted(groups, key=lambda item: (-item[1].UA.mean, item[0])) if kind == "speaker" else groups
    return ends_of(order)
