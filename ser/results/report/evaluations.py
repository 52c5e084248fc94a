"""Sections on evaluations of every kind, by themselves or as part of the report on their experiment."""

from ser.errors import SerError
from ser.results.blocks import Block, Facts, Notice, Section, Table, Text
from ser.results.cells import head_of, interval, many, number, score_cells, score_heads
from ser.results.records.evaluation import Evaluation, OutputEvaluation
from ser.results.records.find import OF_ANOTHER
from ser.results.records.gaps import MeasuredGenders
from ser.results.records.kinds import read_record
from ser.results.report.background import stamps_and_notes
from ser.results.report.evaluation import evaluation_sections
from ser.results.report.evaluation_tables import again, drawn, evaluation_facts, output_tables, paired, suite_tables
from ser.results.stored_result import StoredResult


def evaluations_of(result: StoredResult, full: bool) -> list[Section]:
    """A section for each evaluation beside a summary; one that is not of this very summary is named and left out."""
    name = result.path.name.removesuffix(".json")
    found, left = [], []
    for path in sorted(result.path.parent.glob(f"{name}{OF_ANOTHER}-*.json")):
        try:
            record = read_record(path)
        except SerError as error:
            left.append(error.line())
            continue
        if not isinstance(record, (Evaluation, OutputEvaluation)):
            continue
        if record.model.config_hash != result.record.config_hash:
            left.append(f"{path.name} is of another configuration")
            continue
        options = path.name.removesuffix(".json").removeprefix(f"{name}{OF_ANOTHER}-")
        first, *others = sections_of(StoredResult(path, record), full)
        found.append(Section(f"Evaluation: {options}", first.blocks, others))
    return [*found, *([Section("Evaluations left out", [Notice("Not shown", left)])] if left else [])]


def sections_of(result: StoredResult, full: bool) -> list[Section]:
    """The sections of an evaluation of either kind."""
    return (
        _output_sections(result, full)
        if isinstance(result.record, OutputEvaluation)
        else evaluation_sections(result, full)
    )


def _output_sections(result: StoredResult, full: bool) -> list[Section]:
    """Headline and scores, robustness, each dimension or label, and the gaps between genders."""
    record: OutputEvaluation = result.record
    main, data = record.scores.main, record.data
    over = f" (95 % over speakers {interval(main.ci_95_speakers)})" if main.ci_95_speakers else ""
    lead = (
        f"{head_of(record.scores.names[0])} {number(main.mean)}{over} on {data.dataset}: {data.utterances} utterances, "
    )
    lead += f"{', '.join(record.outputs)}, {many(main.n, record.unit)}."
    rows = [[name, *score_cells(part.scores)] for name, part in record.parts.items()]
    scales = [(f"scale of {name}", f"{s['low']:g} to {s['high']:g}") for name, s in record.scales.items()]
    blocks: list[Block] = [
        Text(lead, lead=True),
        *stamps_and_notes(record),
        Facts("At a glance", [*evaluation_facts(result), *scales]),
        Table(
            "Scores", ["test predictions", *score_heads(record.scores)], rows, note=f"Mean ± std over {record.unit}s."
        ),
        *paired(record),
    ]
    found = [Section("Result", blocks)]
    if record.suite:
        found.append(Section("Robustness and fairness", drawn(result, "suite", suite_tables(record), full)))
    found.append(Section("Outputs", output_tables(record.outputs, record.unit)))
    found += [Section("Gaps", [_genders(record.genders)])] if record.genders else []
    return [*found, Section("How to evaluate again", again(result), appendix=True)]


def _genders(found: MeasuredGenders) -> Table:
    """Scores of each gender and their differences by metric."""
    metrics = list(next(iter(found.groups.values())).scores)
    rows = [
        [
            name,
            *(f"{number(g.scores[m].mean)} ({interval(g.scores[m].ci_95)})" for m in metrics),
            str(g.n),
            str(g.speakers),
        ]
        for name, g in found.groups.items()
    ]
    for gap in found.gaps:
        cells = [f"{gap.scores[m].difference:+.3f} ({interval(gap.scores[m].ci_95)})" for m in metrics]
        rows.append([" minus ".join(gap.between), *cells, "", ""])
    heads = ["gender", *(f"{head_of(m)} (95 %)" for m in metrics), "utterances", "speakers"]
    return Table("Genders", heads, rows, note="Speakers drawn again within each gender.")
