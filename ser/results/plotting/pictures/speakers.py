"""The score of each speaker, with intervals over runs, best on top."""

from ser.results.metrics.spread import over_groups
from ser.results.plotting.bars import BARS, MANY, Estimate, Series, bars, ends_of, interval_note
from ser.results.plotting.style import Figure, title
from ser.results.records.numbers import LOWER_IS_BETTER
from ser.results.stored_result import StoredResult, metrics_of_groups

ORDER = 50
OTHER = "#999999"


def fits(result: StoredResult) -> bool:
    return result.is_summary and len(result.groups.speaker) > 1


def draw(result: StoredResult, metric: str) -> Figure:
    metric = _shown(result, metric)
    found = over_groups(result.test, result.classes, "speaker")
    bar = {s: e for s, g in found.items() if (e := Estimate.of(g.scores[metric])) is not None}
    order = _best_first({s: e.mean for s, e in bar.items()}, metric)
    shown = ends_of(order)
    genders = result.test.drop_duplicates("speaker").set_index("speaker")["gender"].to_dict()
    known = sorted({g for g in genders.values() if g})
    colours = {g: BARS[k % len(BARS)] for k, g in enumerate(known)}
    series = Series("", [bar[s] for s in shown], [colours.get(genders.get(s, ""), OTHER) for s in shown])
    mean = result.numbers.pooled.of(metric).mean
    lines = [(mean, "--", f"all together, {mean:.3f}")] + (
        [(result.chance, ":", f"chance, {result.chance:.3f}")] if metric == "UA" else []
    )
    key = [(colours[g], g) for g in known]
    figure = bars([f"{s} (n {found[s].n})" for s in shown], [series], f"{metric} of the speaker's utterances", lines, key)
    cut = f"; the best and the worst {MANY // 2} of {len(order)} speakers" if len(shown) < len(order) else ""
    title(figure, result.record, f"{interval_note(result.numbers.pooled.main, 'lines')}; n: utterances per run{cut}")
    return figure


def words(result: StoredResult, metric: str) -> str:
    name = _shown(result, metric)
    known = {s: g for s, g in result.groups.speaker.items() if g.of(name) is not None}
    values = {s: g.of(name) or 0.0 for s, g in known.items()}
    order = _best_first(values, name)
    best, worst = order[0], order[-1]
    gap = abs(values[best] - values[worst])
    return (
        f"{len(known)} speakers: {name} from {values[worst]:.3f} ({worst}, n {known[worst].n}) to {values[best]:.3f}"
        f" ({best}, n {known[best].n}), a gap of {gap:.3f}."
    )


def _shown(result: StoredResult, metric: str) -> str:
    """The metric, or the first that speakers have scores of."""
    own = metrics_of_groups(result.groups.speaker)
    return metric if metric in own else own[0]


def _best_first(scores: dict[str, float], metric: str) -> list[str]:
    sign = 1 if metric in LOWER_IS_BETTER else -1
    return sorted(scores, key=lambda speaker: (sign * scores[speaker], speaker))
