"""Sections on results that are compared in pairs: `ser results compare`, and the first section of a report on several."""

from collections.abc import Iterator

from ser.results.blocks import Block, Facts, Notice, Section, Table, Text
from ser.results.cells import ABSENT, date, interval, many, number, score_cells, score_heads, tested
from ser.results.records.comparison import Pair, ResultComparison, Row
from ser.results.report.background import stamps_and_notes
from ser.results.stored_result import outputs_in_words
from ser.results.tables import difference_table

FEW_PAIRS = 3  # of more, classes, genders and speakers are in the record alone
NOTE = (
    "Permutation tests: models (run x fold) are exchanged; predictions of a speaker are exchanged; in brackets the number of "
    "each. p: of both together (with one run the larger of the two; none with two or three runs of one fold, where it would be "
    "wrong); Holm: for the number of rows. 95 %: speakers and runs drawn again. effect: mean over standard deviation of the "
    "speakers' differences (Cohen's d_z). seeds: runs with which a test at 0.05 would find a true difference of this size in "
    "80 of 100 cases; too hopeful with few runs."
)
DETAILS = "Intervals draw speakers (for a speaker: utterances) and runs again; they are not adjusted for their number."


def comparison_sections(record: ResultComparison) -> list[Section]:
    """Make the sections: names and scores, the differences with their tests, and details of up to three pairs."""
    found = [Section("Comparison", [*difference_blocks(record), Facts("At a glance", _facts(record))])]
    if len(record.pairs) > FEW_PAIRS:
        words = "Differences by class, gender and speaker: compare fewer, or write all with --output FILE.json."
        return [*found, Section("Details", [Text(words)])]
    return [*found, *(Section(_name(pair), list(_details(pair, record.metric))) for pair in record.pairs)]


def difference_blocks(record: ResultComparison) -> list[Block]:
    """The names of what is compared, its scores, and the differences in pairs."""
    names = [(one.name, one.experiment + (f" at {one.amount}" if one.amount else "")) for one in record.compared]
    paired = f"{many(record.runs, 'run')} by {record.paired_by}, {many(len(record.folds), 'fold')}"
    lead = f"{', '.join(f'{letter} is {name}' for letter, name in names)}. Paired: {paired}."
    compared = [[one.name, one.head, "+".join(one.features), *score_cells(one.pooled)] for one in record.compared]
    pairs = []
    for pair in record.pairs:
        seeds = ABSENT if pair.power.seeds is None else str(pair.power.seeds)
        pairs.append(([_name(pair)], pair, pair.p_holm, [seeds]))
    lines = remarks(record)
    return [
        Text(lead, lead=True),
        *(stamps_and_notes(record) if record.stamps or record.notes else []),
        Table(
            "Scores of each",
            ["", "head", "features", *score_heads(record.compared[0].pooled)],
            compared,
            left=3,
            note="Test predictions of all folds together, mean ± std over the runs that pair.",
        ),
        difference_table(f"Differences in {record.metric}, in pairs", ["", record.metric], pairs, NOTE, ["seeds"]),
        *([Notice("Runs and speakers that would be enough", lines, warning=False)] if lines else []),
    ]


def differences_in_words(record: ResultComparison) -> str:
    """The difference of each pair with its interval and p, in one line."""
    found = []
    for pair in record.pairs:
        difference, within, *_, p, _ = tested(pair, pair.p_holm)
        found.append(f"{_name(pair)}: {record.metric} {difference} (95 % {within}), p {p}")
    return "; ".join(found)


def _facts(record: ResultComparison) -> list[tuple[str, str]]:
    data = record.data
    outputs = outputs_in_words(len(data.classes), record.compared[0].pooled.names)
    who = "speakers not known" if data.speakers is None else many(data.speakers, "speaker")
    # Comparisons of earlier versions have a scheme of dimensions too, in which it has no part.
    scheme = None if "CCC" in record.compared[0].pooled.names else data.scheme
    named = [f"{what} {name}" for what, name in (("scheme", scheme), ("protocol", data.protocol)) if name]
    return [
        ("data", ", ".join([data.dataset, *named, outputs])),
        ("test", f"{data.utterances} utterances, {who}"),
        ("date", f"{date(record.time.started)} UTC"),
        ("command", record.command),
    ]


def remarks(record: ResultComparison) -> list[str]:
    """The reason why there is no number of seeds, a line per pair; with the number of speakers that would be enough."""
    found = []
    for pair in record.pairs:
        power = pair.power
        more = f"; about {power.speakers} speakers would be enough with these {many(record.runs, 'run')} of each"
        found += [f"{_name(pair)}: {power.why}{more if power.speakers else ''}."] if power.why else []
    return found


def _name(pair: Pair) -> str:
    return f"{pair.a} - {pair.b}"


def _details(pair: Pair, metric: str) -> Iterator[Block]:
    """Differences by class, by gender and between speakers."""
    head = [pair.a, pair.b, "difference", "95 %"]
    rows = [
        [name if score == "recall" else "", score, *_cells(getattr(by_score, score))]
        for name, by_score in pair.per_class.items()
        for score in by_score.__struct_fields__
    ]
    if rows:
        yield Table(f"{_name(pair)} by class", ["class", "score", *head], rows, left=2, note=DETAILS)
    groups, gap = pair.gender.groups, pair.gender.gap
    note = ""
    if gap:
        each = [f"{name} {g.gap:+.3f} ({interval(g.ci_95)})" for name, g in ((pair.a, gap.a), (pair.b, gap.b))]
        note = f"Gap, {gap.of}: {', '.join(each)}, between them {gap.difference:+.3f} ({interval(gap.ci_95)})."
    if groups:
        by_gender = [[name, str(row.speakers), *_cells(row)] for name, row in groups.items()]
        yield Table(f"{metric} by gender", ["gender", "speakers", *head], by_gender, note=note)
    if pair.speaker:
        yield _speakers(pair, metric)


def _speakers(pair: Pair, metric: str) -> Text:
    """The number of speakers who do better with each, and the two ends."""
    rows = pair.speaker
    by = {name: row.difference or 0.0 for name, row in rows.items()}
    above = sum(row.ci_95 is not None and row.ci_95[0] > 0 for row in rows.values())
    below = sum(row.ci_95 is not None and row.ci_95[1] < 0 for row in rows.values())
    order = sorted(by, key=lambda name: (by[name], name))
    low, high = (f"{name} {by[name]:+.3f} ({interval(rows[name].ci_95)})" for name in (order[0], order[-1]))
    return Text(
        f"{many(len(rows), 'speaker')}, {metric}: {sum(d > 0 for d in by.values())} do better with {pair.a} ({above} with an "
        f"interval above 0), {sum(d < 0 for d in by.values())} with {pair.b} ({below}), from {low} to {high}."
    )


def _cells(row: Row) -> list[str]:
    difference = ABSENT if row.difference is None else f"{row.difference:+.3f}"
    return [number(row.a), number(row.b), difference, interval(row.ci_95)]
