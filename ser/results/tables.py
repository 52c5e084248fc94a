"""Tables and notices that studies and reports have in common: differences with their tests, and several corpora."""

from collections.abc import Iterable, Sequence

from ser.results.blocks import Facts, Notice, Table
from ser.results.cells import TESTED, disagreement, tested
from ser.results.records.data_facts import DataFacts
from ser.results.records.numbers import Comparison, Suspect

OF_FOLDS = (
    "Permutation tests: the models (run x fold) of each fold are exchanged; the predictions of a speaker are exchanged; in "
    "brackets the number of each. p: of both together (with one run the larger of the two), Holm over the rows."
)
OF_WHOLE_RUNS = (
    "Permutation tests: models are exchanged by whole runs; the predictions of a speaker are exchanged; in brackets the number "
    "of each. p: of both together, Holm over the rows; not given under 4 runs."
)
Difference = tuple[Sequence[str], Comparison, float | None, Sequence[str]]


def difference_table(
    caption: str, head: Sequence[str], rows: Iterable[Difference], note: str, more: Sequence[str] = ()
) -> Table:
    """A table of differences with their tests, whose note names the rows whose interval and p disagree.

    Args:
        head: headings of the names of a row, then of the difference.
        rows: names, comparison, its p adjusted for their number, and further cells.
        more: headings of the further cells.
    """
    found = list(rows)
    cells = [[*names, *tested(comparison, p_holm), *further] for names, comparison, p_holm, further in found]
    apart = disagreement((" ".join(names), comparison) for names, comparison, *_ in found)
    return Table(caption, [*head, "95 %", *TESTED, *more], cells, left=len(head) - 1, note=note + apart)


def shared_classes(data: DataFacts) -> list[Facts]:
    """The classes or dimensions that several corpora share, and the utterances of each that belong to none of them."""
    space = data.label_space
    if space is None:
        return []
    scales = next((part.scales for part in data.datasets.values() if part.scales), {})
    shared = [f"{name} ({scales[name].low:g} to {scales[name].high:g})" if name in scales else name for name in space.classes]
    what = "dimensions" if scales else "classes"
    rows = [(what, ", ".join(shared))]
    for corpus in space.corpora:
        left = ", ".join(f"{number} {name}" for name, number in corpus.left_out.items())
        rows.append((corpus.dataset, f"{corpus.utterances} utterances; left out: {left or 'none'}"))
    rows += [("normalised", data.normalization)] if data.normalization else []
    return [Facts(f"{what.capitalize()} of the corpora", rows)]


def suspect_line(found: Suspect, where: str = "") -> str:
    """Classes that are predicted as each other, in words; `where`: the corpora, at the beginning of the line."""
    confused = ", ".join(f"{100 * c.share:.0f} % of {c.true} as {c.predicted}" for c in found.confusion)
    test = "" if found.p is None else f", p over speakers {found.p:.4f}"
    gain = f"exchanged, their recall would be {100 * found.gain:.0f} points higher{test}"
    classes = " and ".join(found.classes)
    return f"{where}{classes} may be swapped between the corpora's label maps: {confused}; {gain}."


def suspects_notice(lines: Sequence[str]) -> list[Notice]:
    """A notice of `suspect_line`s; none where there are no lines."""
    return [Notice("Suspects", lines)] if lines else []
