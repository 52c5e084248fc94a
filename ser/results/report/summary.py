"""The sections of a report on one summary: headline, scores, then a section a picture with its numbers."""

from typing import Any

import numpy as np

from ser.results.metrics import gaps
from ser.results.metrics.spread import SCORES, over_classes, over_groups, reliability_over_runs
from ser.results.plotting.gallery import draw, kinds
from ser.results.plotting.style import runs_of
from ser.results.records.find import dataset, fact
from ser.results.records.names import METRICS
from ser.results.records.result import Source
from ser.results.report.blocks import Block, Notice, Section, Table, Text, table_of
from ser.results.report.evaluation_tables import gender_note, gender_rows
from ser.results.report.fewshots import samples
from ser.results.report.show import FEW_RUNS
from ser.results.report.tables import ABSENT, interval, number, score
from ser.results.report.transfers import COMBINED, corpus_rows, space_lines, suspect_line

TITLES = {
    "fewshot": "Score over labelled target data",
    "confusion": "Confusion matrix",
    "classes": "Classes",
    "genders": "Genders",
    "speakers": "Speakers",
    "folds": "Folds",
    "curves": "Learning curves",
    "reliability": "Reliability of the probabilities",
}
PARTS = {"pooled": "test, pooled", "test": "test, by fold", "validation": "validation"}
SHORT = {"UA": "UA", "WA": "WA", "WF1": "weighted F1", "Macro_F1": "macro F1"}
NOTE = (
    "UA: unweighted average recall; WA: accuracy. test, pooled: the test predictions of all folds of a run together; by fold, "
    "and validation: mean over a run's folds. 95 % over runs: Student's t over the runs' values, how much the seed matters; "
    "not given under three runs. 95 % over speakers: bootstrap of whole speakers, how much it matters who was recorded."
)


def summary_sections(source: Source) -> list[Section]:
    """Headline and scores; then each picture that fits, with its table."""
    top = [headline(source), *warnings(source.result), *_scores(source)]
    details = {
        "confusion": _confusion,
        "classes": _classes,
        "genders": _genders,
        "speakers": _speakers,
        "folds": _folds,
        "reliability": _reliability,
    }
    found = [Section("Result", top)]
    for kind in kinds(source):
        tables = details[kind](source) if kind in details else []
        found.append(Section(TITLES.get(kind, kind), [draw(source, kind), *tables]))
    found += _corpora(source.result)
    return found


def headline(source: Source) -> Text:
    """The first sentence: UA with its intervals, over what."""
    result, ua = source.result, source.part["pooled"]["UA"]
    intervals = [f"over runs {interval(ua['ci_95'])}"] if ua["n"] >= FEW_RUNS else []
    intervals += [f"over speakers {interval(ua['ci_95_speakers'])}"] if ua.get("ci_95_speakers") else []
    within = f" (95 % {'; '.join(intervals)})" if intervals else ""
    folds = len({r["fold"] for r in source.runs})
    of = f"{runs_of(ua['n'])} of {folds} fold{'' if folds == 1 else 's'}"
    at = f" with {source.amount} of the target's training data" if source.amount else ""
    classes = len(source.classes)
    return Text(
        f"UA {number(ua['mean'])}{within} on {dataset(result)}{at}: {classes} classes, head {fact(result, 'head')}, {of}. "
        f"Chance is {number(1 / classes)}.",
        lead=True,
    )


def warnings(result: dict[str, Any]) -> list[Notice]:
    """The audit's stamps and the runs' notes, first of all."""
    stamps = list(result["stamps"]) or ["No stamps: the checks found nothing that limits what these numbers mean."]
    found = [Notice("Stamps: what a reader of these numbers must know", stamps, warning=bool(result["stamps"]))]
    notes = result.get("notes", [])
    return [*found, *([Notice("Notes of the runs", notes)] if notes else [])]


def _scores(source: Source) -> list[Block]:
    if source.amount is not None:
        return [_amounts(source.result), _table({"pooled": source.part["pooled"]}, f"Scores at {source.amount}")]
    parts = {name: source.result[name] for name in PARTS if source.result[name] is not None}
    return [_table(parts, "Scores")]


def _table(parts: dict[str, Any], caption: str) -> Table:
    head = ["of", "metric", "mean", "std", "95 % over runs", "95 % over speakers", "runs"]
    rows = []
    for part, metrics in parts.items():
        for name in METRICS:
            m = metrics[name]
            over = interval(m["ci_95"] if m["n"] >= FEW_RUNS else None)
            numbers = [number(m["mean"]), number(m["std"]), over, interval(m.get("ci_95_speakers")), str(m["n"])]
            rows.append([PARTS[part], SHORT[name], *numbers])
    return Table(caption, head, rows, left=2, note=NOTE)


def _amounts(result: dict[str, Any]) -> Table:
    rows = []
    source = result.get("source")
    parts = [("none (zero-shot)", "0", source["zero_shot"]["pooled"])] if source else []
    parts += [(name, samples(part["n_samples"]), part["pooled"]) for name, part in result["percentages"].items()]
    for name, size, metrics in parts:
        ua = metrics["UA"]
        over = interval(ua["ci_95"] if ua["n"] >= FEW_RUNS else None)
        rows.append([name, size, *(score(metrics[m]) for m in METRICS), over, str(ua["n"])])
    head = ["target data", "utterances", *METRICS, "UA, 95 % over runs", "runs"]
    return Table(
        "Scores over the amount of labelled target data", head, rows, note="Mean ± std over runs, all folds together."
    )


def _confusion(source: Source) -> list[Block]:
    matrix = source.part["confusion_matrix"]
    labels, counts = matrix["labels"], np.array(matrix["counts"])
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [
        [name, *(f"{int(n)}" for n in row), number(float(share[k, k])) if row.sum() else ABSENT]
        for k, (name, row) in enumerate(zip(labels, counts, strict=True))
    ]
    shade = [[*map(float, row), None] for row in share]
    caption = f"Counts over {runs_of(matrix['runs'])}; rows are true classes, columns predicted ones"
    return [Table(caption, ["true \\ predicted", *labels, "recall"], rows, shade=shade)]


def _spread(value: dict[str, Any] | None) -> list[str]:
    """Mean and interval, for two columns."""
    if value is None:
        return [ABSENT, ABSENT]
    return [number(value["mean"]), interval(value["ci_95"] if value["n"] >= FEW_RUNS else None)]


def _classes(source: Source) -> list[Block]:
    found = over_classes(source.test, source.classes)
    head = ["class", *(word for name in SCORES for word in (name, "95 % over runs")), "utterances"]
    rows = [
        [
            c,
            *(word for name in SCORES for word in _spread(found[c][name])),
            f"{source.part['per_class'][c]['support']:g}",
        ]
        for c in source.classes
    ]
    return [Table("Each class, mean over runs", head, rows)]


def _genders(source: Source) -> list[Block]:
    table = _group_table(source, "gender", "Each gender, mean over runs")
    gap = source.part["groups"]["gender_gap"]
    note = f"Widest gap: UA {number(gap['UA'])}, WA {number(gap['WA'])}."
    found = gaps.gender_gaps(gaps.rights_of(source.test, source.classes))
    between = [] if found is None else [table_of("Genders over speakers", gender_rows(found), note=gender_note(found))]
    return [Table(table.caption, table.head, table.rows, note=note), *between]


def _speakers(source: Source) -> list[Block]:
    table = _group_table(source, "speaker", "Each speaker, mean over runs")
    return [Table(table.caption, table.head, table.rows, closed=True)]


def _group_table(source: Source, column: str, caption: str) -> Table:
    found = over_groups(source.test, source.classes, column)
    head = [column, "UA", "95 % over runs", "WA", "95 % over runs", "utterances"]
    rows = [[g, *_spread(v["UA"]), *_spread(v["WA"]), str(v["n"])] for g, v in found.items()]
    return Table(caption, head, rows)


def _folds(source: Source) -> list[Block]:
    rows = [["fold", "utterances", *METRICS]]
    rows += [[name, str(f["n"]), *(score(f[m]) for m in METRICS)] for name, f in source.part["folds"].items()]
    return [table_of("Test scores of each fold, mean ± std over runs", rows)]


def _reliability(source: Source) -> list[Block]:
    found = reliability_over_runs(source.test)
    rows = [
        ["expected calibration error (ECE)", score(found["ECE"])],
        ["ECE of a perfectly calibrated head, by chance", number(found["ECE_by_chance"]["mean"])],
        ["confidence minus accuracy", score(found["gap"])],
    ]
    bins = [
        [f"{low:.3f}", f"{right:.3f}", f"{n:.0f}"]
        for low, right, n in zip(found["confidence"], found["accuracy"], found["n"], strict=True)
    ]
    note = (
        "Probabilities as stored; under temperatures fitted on validation: ser evaluate --calibrate. ECE: Naeini et al. 2015,"
        " of each run, in bins of equal mass, so small that a perfectly calibrated head has more than 0 too."
    )
    return [
        Table("Calibration, mean ± std over runs", ["measure", "value"], rows, note=note),
        Table("The points of the diagram", ["confidence", "accuracy", "predictions"], bins, left=0, closed=True),
    ]


def _corpora(result: dict[str, Any]) -> list[Section]:
    """Of a zero-shot or combined summary: each corpus beside its own head, label spaces, suspects."""
    if "label_space" not in result["data"]:
        return []
    data = result["data"]
    lines = [
        *space_lines(data["label_space"]),
        *([f"normalised: {data['normalization']}"] if "normalization" in data else []),
    ]
    blocks: list[Block] = [Notice("Classes and normalisation", [" ".join(x.split()) for x in lines], warning=False)]
    found = [suspect_line(s) for s in result.get("suspects", [])]
    blocks += [Notice("Suspects", found)] if found else []
    if "datasets" in result:
        blocks.append(table_of("Each corpus beside its own head", corpus_rows(result["datasets"]), note=COMBINED))
    return [Section("Corpora", blocks)]
