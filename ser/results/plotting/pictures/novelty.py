"""Novelty: how well each score tells what is new from what is known, as AUROC beside that of chance."""

from matplotlib.figure import Figure

from ser.results.plotting.bars import BARS, Series, bars, interval_note
from ser.results.plotting.style import title
from ser.results.records.names import EVALUATION_SCHEMA
from ser.results.records.result import Source

ORDER = 74


def fits(source: Source) -> bool:
    return source.schema == EVALUATION_SCHEMA and bool(source.result["novelty"])


def draw(source: Source, metric: str) -> Figure:
    rows, values, colours = [], [], []
    for number, entry in enumerate(source.result["novelty"]):
        for name, found in entry["scores"].items():
            if found is not None:
                rows.append(f"{entry['novel']}: {name.replace('_', ' ')}")
                values.append(found["AUROC"])
                colours.append(BARS[number % len(BARS)])
    lines = [(0.5, "--", "chance, 0.5")]
    figure = bars(rows, [Series("", values, colours)], "AUROC: known against novel utterances", lines)
    title(figure, source.result, f"mean over a run's heads; lines: {interval_note(values[0]['n'])}")
    return figure


def words(source: Source, metric: str) -> str:
    found = []
    for entry in source.result["novelty"]:
        each = {name: f["AUROC"]["mean"] for name, f in entry["scores"].items() if f is not None}
        told = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in each.items())
        found.append(f"{entry['novel']}: AUROC {told}")
    return "; ".join(found) + "."
