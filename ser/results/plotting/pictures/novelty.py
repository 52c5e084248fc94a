"""Novelty: the AUROC of each score, of novel against known utterances, beside that of chance."""

from ser.results.plotting.bars import BARS, Estimate, Series, bars, interval_note
from ser.results.plotting.style import Figure, title
from ser.results.records.evaluation import Evaluation
from ser.results.stored_result import StoredResult

ORDER = 74


def fits(result: StoredResult) -> bool:
    return isinstance(result.record, Evaluation) and bool(result.record.novelty)


def draw(result: StoredResult, metric: str) -> Figure:
    rows, values, colours = [], [], []
    for number, entry in enumerate(result.record.novelty):
        for name, found in entry.scores.known().items():
            rows.append(f"{entry.novel}: {name.replace('_', ' ')}")
            values.append(found.AUROC)
            colours.append(BARS[number % len(BARS)])
    lines = [(0.5, "--", "chance, 0.5")]
    figure = bars(rows, [Series("", [Estimate.of(v) for v in values], colours)], "AUROC: known against novel utterances", lines)
    title(figure, result.record, f"mean over a run's heads; {interval_note(values[0], 'lines')}")
    return figure


def words(result: StoredResult, metric: str) -> str:
    found = []
    for entry in result.record.novelty:
        each = ", ".join(f"{name.replace('_', ' ')} {f.AUROC.mean:.3f}" for name, f in entry.scores.known().items())
        found.append(f"{entry.novel}: AUROC {each}")
    return "; ".join(found) + "."
