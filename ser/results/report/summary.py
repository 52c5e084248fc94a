"""Sections on a summary: headline, stamps, scores, then a section for each detail with its picture.

From the record alone they are what the terminal shows. A whole report reads the predictions too, for pictures and for
intervals over runs of classes and groups.
"""

from collections.abc import Callable

from msgspec import UNSET

from ser.results.blocks import Block, Section, Table, Text
from ser.results.cells import (
    ABSENT,
    head_of,
    interval,
    main_head,
    many,
    number,
    over_runs,
    score,
    score_cells,
    score_heads,
    size,
)
from ser.results.records.data_facts import data_facts
from ser.results.records.find import dataset_of, fact_of, is_system
from ser.results.records.gaps import Genders, MeasuredGenders
from ser.results.records.model import CorpusNumbers, FewshotSummary, Summary
from ser.results.records.numbers import Metrics, OutputScores, matrix_of
from ser.results.report.background import overview, stamps_and_notes
from ser.results.stored_result import StoredResult, metrics_of_groups
from ser.results.tables import difference_table, shared_classes, suspect_line, suspects_notice

FEW_SPEAKERS = 10  # of a gender: with fewer, drawing them again gives intervals that are too narrow
FEW_UTTERANCES = 10  # of a speaker: with fewer, the UA is chance
PARTS = {"pooled": "test, pooled", "test": "test, by fold", "validation": "validation"}
OF_A_CLASS = ("precision", "recall", "F1")
NOTE = (
    "Test, pooled: the test predictions of all folds of a run together; by fold, "
    "and validation: the mean over the folds of a run. 95 % over runs: Student's t over the values of the runs, how much the "
    "seed matters; not given under three runs. 95 % over speakers: bootstrap of whole speakers, how much it matters who was "
    "recorded."
)
MEANINGS = {
    "UA": "unweighted average recall",
    "WA": "accuracy",
    "CCC": "concordance correlation",
    "PCC": "Pearson correlation",
    "RMSE": "root mean square error on the ratings' scale; these three are means over the dimensions",
    "exact": "share of utterances with all labels right",
    "Hamming": "share of wrong answers, lower is better",
    "KL": "divergence from the votes in nats, lower is better",
    "JS": "the same, Jensen-Shannon to the base 2",
    "F1_1K": "votes and probabilities above 1/K count as present",
}
COMBINED = (
    "Test predictions of the folds of each corpus together, mean ± std over runs; beside the head of that corpus alone, on the "
    "same test utterances."
)
TESTS = (
    "Permutation tests: the models of each fold are exchanged; the predictions of a speaker are exchanged; in brackets the "
    "number of each. p: of both together (with one run the larger of the two), Holm over the rows."
)


def summary_sections(result: StoredResult, full: bool) -> list[Section]:
    """Make the sections on a summary, in the order of a report; `full`: with pictures, and tables computed from predictions."""
    first = [headline(result), *stamps_and_notes(result.record), overview(result), *_scores(result)]
    found = [Section("Result", first)]
    pictures: list[str] = []
    if full:
        from ser.results.plotting.gallery import draw, kinds

        pictures = kinds(result)
    for kind in dict.fromkeys([*DETAILS, *pictures]):
        title, tables = DETAILS.get(kind, (kind, _nothing))
        title = result.outputs_in_words.split()[1].capitalize() if kind == "classes" and result.numbers.outputs else title
        drawn: list[Block] = [draw(result, kind)] if kind in pictures else []
        blocks = [*drawn, *tables(result, full)]
        found += [Section(title, blocks)] if blocks else []
    return [*found, *_corpora(result.record)]


def headline(result: StoredResult) -> Text:
    """The first sentence: UA with its intervals, and of which data."""
    ua, record, name = result.numbers.pooled.main, result.record, main_head(result.numbers.pooled)
    intervals = [f"over {name} {words}" for name, words in _intervals(result) if words != ABSENT]
    within = f" (95 % {'; '.join(intervals)})" if intervals else ""
    of = f"{many(ua.n, 'run')} of {many(len({r.fold for r in result.runs}), 'fold')}"
    at = f" with {result.amount} of the target's training data" if result.amount else ""
    chance = f" Chance is {number(result.chance)}." if name == "UA" else ""
    who = "system" if is_system(record) else "head"
    return Text(
        f"{name} {number(ua.mean)}{within} on {dataset_of(record)}{at}: {result.outputs_in_words}, {who} "
        f"{fact_of(record, 'head')}, {of}.{chance}",
        lead=True,
    )


def _intervals(result: StoredResult) -> list[tuple[str, str]]:
    ua = result.numbers.pooled.main
    return [("runs", over_runs(ua)), ("speakers", interval(ua.ci_95_speakers or None))]


def _scores(result: StoredResult) -> list[Block]:
    if isinstance(result.record, FewshotSummary):
        return [_amounts(result.record), _table({"pooled": result.numbers.pooled}, f"Scores at {result.amount}")]
    parts = {name: getattr(result.record, name) for name in PARTS}
    return [_table({name: metrics for name, metrics in parts.items() if metrics is not None}, "Scores")]


def _table(parts: dict[str, Metrics], caption: str) -> Table:
    rows = [
        [*(PARTS[part], head_of(name), score(m), over_runs(m), interval(m.ci_95_speakers or None), str(m.n))]
        for part, metrics in parts.items()
        for name, m in metrics.items()
    ]
    head = ["of", "metric", "mean ± std", "95 % over runs", "95 % over speakers", "runs"]
    meanings = "; ".join(f"{head_of(m)}: {MEANINGS[m]}" for m in next(iter(parts.values())).names if m in MEANINGS)
    return Table(caption, head, rows, left=2, note=f"{meanings}. {NOTE}")


def _amounts(record: FewshotSummary) -> Table:
    parts = [(name, size(part.n_samples), part.pooled) for name, part in record.percentages.items()]
    note = "Mean ± std over runs, all folds together."
    if record.source:
        parts.insert(0, ("none", "0", record.source.zero_shot.pooled))
        note += " none: the source model on the target's test part, before any target label."
        if record.source.validation:
            own = record.source.validation
            note += f" On its own validation part it has {main_head(own)} {number(own.main.mean)}."
    rows = [[name, n, *score_cells(m), over_runs(m.main), str(m.main.n)] for name, n, m in parts]
    head = ["target data", "utterances", *score_heads(parts[0][2]), f"{main_head(parts[0][2])}, 95 % over runs", "runs"]
    return Table("Scores over the amount of labelled target data", head, rows, note=note)


def _nothing(result: StoredResult, full: bool) -> list[Block]:
    return []


def _confusion(result: StoredResult, full: bool) -> list[Block]:
    if result.numbers.outputs:
        return []
    matrix = matrix_of(result.numbers)
    totals = [sum(row) for row in matrix.counts]
    rows = [
        [name, *map(str, row), number(row[k] / total) if total else ABSENT]
        for k, (name, row, total) in enumerate(zip(matrix.labels, matrix.counts, totals, strict=True))
    ]
    shade = [[*(n / max(1, total) for n in row), None] for row, total in zip(matrix.counts, totals, strict=True)]
    caption = f"Counts over {many(matrix.runs or 1, 'run')}; rows are true classes, columns predicted ones"
    return [Table(caption, ["true \\ predicted", *matrix.labels, "recall"], rows, shade=shade)]


def _classes(result: StoredResult, full: bool) -> list[Block]:
    if result.numbers.outputs:
        return [_outputs(result.numbers.outputs)]
    own = result.numbers.per_class or {}
    columns = {name: [number(getattr(own[c], name)) for c in result.classes] for name in OF_A_CLASS}
    if full:
        from ser.results.metrics.spread import over_classes

        found = over_classes(result.test, result.classes)
        columns = {
            key: texts
            for name in OF_A_CLASS
            for key, texts in ((name, columns[name]), (f"{name}, 95 % over runs", [over_runs(found[c][name]) for c in own]))
        }
    rows = [[*row, f"{own[row[0]].support:g}"] for row in zip(result.classes, *columns.values(), strict=True)]
    tables: list[Block] = [Table("Each class, mean over runs", ["class", *columns, "utterances"], rows)]
    return [*tables, *([_outputs(result.numbers.ratings)] if result.numbers.ratings else [])]


def _outputs(outputs: dict[str, OutputScores]) -> Table:
    """Scores of each dimension, or of each of several labels."""
    names = [m for m in ("CCC", "PCC", "RMSE", "F1") if getattr(next(iter(outputs.values())), m) is not UNSET]
    rows = [[name, *(number(getattr(own, m)) for m in names), f"{own.support:g}"] for name, own in outputs.items()]
    kind = "label" if names == ["F1"] else "dimension"
    return Table(f"Each {kind}, mean over runs", [kind, *names, "utterances"], rows)


def _genders(result: StoredResult, full: bool) -> list[Block]:
    if not result.groups.gender:
        return []
    gap = result.groups.gender_gap
    widest = ", ".join(f"{head_of(m)} {number(gap.of(m))}" for m in gap.names) if gap else ""
    note = f"Widest gap: {widest}." if widest else ""
    blocks: list[Block] = [_groups(result, "gender", full, note)]
    if full and not result.numbers.outputs:
        from ser.results.metrics.gaps import group_gaps, rights_of

        between = group_gaps(rights_of(result.test, result.classes))
        blocks += [] if between is None else [gender_table(between, "Genders over speakers")]
    return blocks


def _groups(result: StoredResult, kind: str, full: bool, note: str = "") -> Table:
    """Scores by gender or by speaker, with their intervals over runs in a whole report."""
    own = result.groups.gender if kind == "gender" else result.groups.speaker
    metrics = metrics_of_groups(own)
    head, texts = [head_of(m) for m in metrics], {name: [number(g.of(m)) for m in metrics] for name, g in own.items()}
    if full:
        from ser.results.metrics.spread import over_groups

        found = over_groups(result.test, result.classes, kind)
        head = [text for m in metrics for text in (head_of(m), f"{head_of(m)}, 95 % over runs")]
        texts = {
            n: [t for m, cell in zip(metrics, cells, strict=True) for t in (cell, over_runs(found[n].scores[m]))]
            for n, cells in texts.items()
        }
    rows = [[name, *texts[name], str(g.n)] for name, g in own.items()]
    return Table(f"Each {kind}, mean over runs", [kind, *head, "utterances"], rows, note=note, closed=kind == "speaker")


def gender_table(found: Genders | MeasuredGenders, caption: str) -> Table:
    """Scores of each gender and their differences, speakers drawn again."""
    metrics = list(next(group.scores for group in found.groups.values()))
    rows = [
        [name, *(f"{number(g.scores[m].mean)} ({interval(g.scores[m].ci_95)})" for m in metrics), str(g.n), str(g.speakers)]
        for name, g in found.groups.items()
    ]
    for gap in found.gaps:
        cells = [f"{gap.scores[m].difference:+.3f} ({interval(gap.scores[m].ci_95)})" for m in metrics]
        rows.append([" minus ".join(gap.between), *cells, "", ""])
    few = [f"{g.speakers} ({name})" for name, g in found.groups.items() if g.speakers < FEW_SPEAKERS]
    note = "Speakers drawn again within each gender."
    note += f" Of so few speakers, {' and '.join(few)}, such intervals are too narrow." if few else ""
    return Table(caption, ["gender", *(f"{head_of(m)} (95 %)" for m in metrics), "utterances", "speakers"], rows, note=note)


def _speakers(result: StoredResult, full: bool) -> list[Block]:
    """The lowest and the highest speaker, of those with enough utterances; in a whole report all."""
    own = result.groups.speaker
    enough = {name: g for name, g in own.items() if g.n >= FEW_UTTERANCES}
    blocks: list[Block] = []
    if len(enough) > 1:
        metric = metrics_of_groups(own)[0]
        order = sorted(enough, key=lambda name: (enough[name].of(metric) or 0.0, name))
        low, high = (f"{number(enough[n].of(metric))} ({n}, n {enough[n].n})" for n in (order[0], order[-1]))
        fewer = len(own) - len(enough)
        left_out = f"; {fewer} with fewer than {FEW_UTTERANCES} utterances left out" if fewer else ""
        blocks.append(Text(f"{len(enough)} speakers: {head_of(metric)} from {low} to {high}{left_out}."))
    return [*blocks, _groups(result, "speaker", full)] if full and own else blocks


def _folds(result: StoredResult, full: bool) -> list[Block]:
    folds = result.numbers.folds or {}
    rows = [[name, str(f.n), *score_cells(f)] for name, f in folds.items()]
    head = ["fold", "utterances", *(score_heads(next(iter(folds.values()))) if folds else [])]
    return [Table("Test scores of each fold, mean ± std over runs", head, rows)] if len(rows) > 1 else []


def _reliability(result: StoredResult, full: bool) -> list[Block]:
    if not full or result.numbers.outputs:
        return []
    from ser.results.metrics.spread import reliability_over_runs

    found = reliability_over_runs(result.test)
    rows = [
        ["expected calibration error (ECE)", score(found.ECE)],
        ["ECE of a perfectly calibrated head, by chance", number(found.ECE_by_chance.mean)],
        ["confidence minus accuracy", score(found.gap)],
    ]
    bins = [
        [f"{confidence:.3f}", f"{accuracy:.3f}", f"{n:.0f}"]
        for confidence, accuracy, n in zip(found.confidence, found.accuracy, found.n, strict=True)
    ]
    note = (
        "Probabilities as stored; under temperatures fitted on validation: ser evaluate --calibrate. ECE: Naeini et al. 2015, "
        "of each run, in bins of equal mass, which are so small that a perfectly calibrated head has more than 0 too."
    )
    return [
        Table("Calibration, mean ± std over runs", ["measure", "value"], rows, note=note),
        Table("The points of the diagram", ["confidence", "accuracy", "predictions"], bins, left=0, closed=True),
    ]


DETAILS: dict[str, tuple[str, Callable[[StoredResult, bool], list[Block]]]] = {
    "fewshot": ("Score over labelled target data", _nothing),
    "confusion": ("Confusion matrix", _confusion),
    "classes": ("Classes", _classes),
    "dimensions": ("Predicted and rated values", _nothing),
    "genders": ("Genders", _genders),
    "speakers": ("Speakers", _speakers),
    "folds": ("Folds", _folds),
    "learning_curves": ("Learning curves", _nothing),
    "reliability": ("Reliability of the probabilities", _reliability),
}  # kind of picture -> title of its section, and the tables beside it


def _corpora(record: Summary | FewshotSummary) -> list[Section]:
    """Sections on a zero-shot or combined summary: label spaces, normalisation, suspects, each corpus beside its own head."""
    blocks: list[Block] = [*shared_classes(data_facts(record))]
    if blocks and isinstance(record, Summary):
        blocks += suspects_notice([suspect_line(s) for s in record.suspects or ()])
        blocks += _beside_own_heads(record.datasets) if record.datasets else []
    return [Section("Corpora", blocks)] if blocks else []


def _beside_own_heads(datasets: dict[str, CorpusNumbers]) -> list[Block]:
    """Tables of a combined summary: each corpus beside the head of that corpus alone."""
    rows = [[name, *score_cells(part.pooled), score(part.alone.pooled.main)] for name, part in datasets.items()]
    compared = [([name], part.comparison, part.comparison.p_holm, [part.comparison.verdict]) for name, part in datasets.items()]
    heads = score_heads(next(iter(datasets.values())).pooled)
    head = ["corpus", "combined minus own"]
    return [
        Table("Each corpus beside its own head", ["corpus", *heads, f"own head, {heads[0]}"], rows, note=COMBINED),
        difference_table(f"Combined minus own head, {heads[0]}", head, compared, TESTS, ["verdict"]),
    ]
