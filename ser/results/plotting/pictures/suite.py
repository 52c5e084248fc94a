"""The score of the test audio in each condition of the suite, beside that of the original."""

from ser.results.cells import head_of
from ser.results.plotting.bars import Estimate, Series, bars
from ser.results.plotting.style import FULL_NAMES, PALETTE, Figure, title
from ser.results.records.evaluation import Evaluation, OutputEvaluation, SuiteCheck
from ser.results.stored_result import StoredResult

ORDER = 69
COLOURS = {"passed": PALETTE[0], "unsure": PALETTE[4], "failed": PALETTE[1]}


def fits(result: StoredResult) -> bool:
    return isinstance(result.record, (Evaluation, OutputEvaluation)) and bool(result.record.suite)


def draw(result: StoredResult, metric: str) -> Figure:
    record, checks = result.record, _conditions(result)
    original = record.scores.main.mean
    values = []
    for c in checks:
        ends = None if c.ci_95 is None else (original - c.ci_95[1], original - c.ci_95[0])
        values.append(Estimate(original - c.value, ends))
    series = Series("", values, [COLOURS[_verdict(c)] for c in checks])
    lines = [(original, "--", f"original audio, {original:.3f}")]
    key = [(colour, word) for word, colour in COLOURS.items()]
    figure = bars([c.name for c in checks], [series], FULL_NAMES[record.suite.metric], lines, key)
    title(figure, record, "95 % of the loss: speakers and runs drawn again")
    return figure


def words(result: StoredResult, metric: str) -> str:
    original, name = result.record.scores.main.mean, head_of(result.record.suite.metric)
    each = ", ".join(f"{c.name} {original - c.value:.3f}" for c in _conditions(result))
    return f"{name} of the original audio {original:.3f}; in each condition: {each}."


def _verdict(check: SuiteCheck) -> str:
    """Unsure, where the interval reaches over the limit or there is none."""
    return "unsure" if not check.sure else "passed" if check.passed else "failed"


def _conditions(result: StoredResult) -> list[SuiteCheck]:
    return [c for c in result.record.suite.checks if c.kind == "robustness"]
