"""Reliability of the probabilities: accuracy over confidence, bins of equal mass, with the ECE."""

from matplotlib.figure import Figure

from ser.results.plots import runs_of, title
from ser.results.reliability import diagram, of_predictions
from ser.results.source import Source
from ser.results.tables import score

ORDER = 70


def fits(source: Source) -> bool:
    return source.is_summary


def draw(source: Source, metric: str) -> Figure:
    found = of_predictions(source.test)
    figure = diagram(found)
    bins, ece = len(found["n"]), found["ECE"]
    detail = f"ECE {score(ece)} over {runs_of(ece['n'])}; {bins} bins of {sum(found['n']) / bins:.0f} predictions"
    title(figure, source.result, detail)
    return figure


def words(source: Source, metric: str) -> str:
    found = of_predictions(source.test)
    gap = found["gap"]
    low, high = gap["ci_95"] or (gap["mean"], gap["mean"])
    sure = "too sure" if low > 0 else "not sure enough" if high < 0 else "neither too sure nor too unsure"
    return f"ECE {score(found['ECE'])}: on average {sure}, confidence minus accuracy {score(gap)}."
