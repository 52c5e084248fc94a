"""Sections on evaluations of heads on classes, dimensions and labels, by themselves or in the report on their experiment."""

from glob import escape

from msgspec import UNSET

from ser.errors import SerError
from ser.results.blocks import Block, Facts, Image, Notice, Section, Table, Text
from ser.results.cells import ABSENT, head_of, interval, many, number, over_runs, p_value, score, score_cells, score_heads
from ser.results.records.evaluation import (
    PROBABILITIES,
    AnyEvaluation,
    Distances,
    Evaluation,
    Novelty,
    OutputEvaluation,
    VoteScores,
)
from ser.results.records.explanations import Explanations
from ser.results.records.find import OF_ANOTHER, beside, picture_beside
from ser.results.records.gaps import Speakers
from ser.results.records.kinds import read_record
from ser.results.report.background import stamps_and_notes
from ser.results.report.evaluation_tables import again, by_chance, drawn, evaluation_facts, output_tables, paired, suite_tables
from ser.results.report.summary import gender_table
from ser.results.stored_result import StoredResult

DISTANCES = ("cross_entropy", "JS", "TVD")


def evaluations_of(result: StoredResult, full: bool) -> list[Section]:
    """A section for each evaluation beside a summary; one that is not of this very summary is named and left out."""
    name = result.path.name.removesuffix(".json")
    found, left = [], []
    for path in sorted(result.path.parent.glob(f"{escape(name)}{OF_ANOTHER}-*.json")):
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
        first, *others = evaluation_sections(StoredResult(path, record), full)
        found.append(Section(f"Evaluation: {options}", first.blocks, others))
    return [*found, *([Section("Evaluations left out", [Notice("Not shown", left)])] if left else [])]


def evaluation_sections(result: StoredResult, full: bool) -> list[Section]:
    """Headline and scores, then a section for everything else that was evaluated."""
    record: AnyEvaluation = result.record
    tables = {"Result": ("", _result(result)), "Robustness and fairness": ("suite", suite_tables(record))}
    if isinstance(record, OutputEvaluation):
        tables["Outputs"] = ("", output_tables(record.outputs, record.unit))
        tables["Gaps"] = ("", [gender_table(record.genders, "Genders")] if record.genders else [])
    else:
        tables |= {
            "Calibration": ("reliability", _calibration(record)),
            "Abstention": ("coverage", _abstention(record)),
            "Dimensions": ("", output_tables(record.ratings, record.unit) if record.ratings else []),
            "Conformal sets": ("", _conformal(record)),
            "Novelty": ("novelty", [_novelty(entry) for entry in record.novelty]),
            "Gaps": ("gaps", _gaps(record)),
            "Votes": ("", _votes(record.votes) if record.votes else []),
            "Explanations": ("", _explanations(result)),
        }
    found = []
    for title, (kind, blocks) in tables.items():
        found += [Section(title, drawn(result, kind, blocks, full))] if blocks else []
    return [*found, Section("How to evaluate again", again(result), appendix=True)]


def _result(result: StoredResult) -> list[Block]:
    record: AnyEvaluation = result.record
    main, data = record.scores.main, record.data
    over = f" (95 % over speakers {interval(main.ci_95_speakers)})" if main.ci_95_speakers else ""
    lead = f"{head_of(record.scores.names[0])} {number(main.mean)}{over} on {data.dataset}: "
    lead += f"{data.utterances} utterances, {_predicted(record)}, {many(main.n, record.unit)}."
    rows = [[name, *score_cells(part.scores)] for name, part in record.parts.items()]
    heads = ["test predictions", *score_heads(record.scores)]
    facts = evaluation_facts(result)
    if isinstance(record, Evaluation):
        lead += f" Chance is {number(by_chance(record))}."
        for row, part in zip(rows, record.parts.values(), strict=True):
            ua = part.scores.main
            row += [interval(ua.ci_95_speakers or None), str(ua.n)]
        heads += ["UA, 95 % over speakers", f"{record.unit}s"]
    else:
        facts += [(f"scale of {name}", f"{s['low']:g} to {s['high']:g}") for name, s in record.scales.items()]
    blocks: list[Block] = [
        Text(lead, lead=True),
        *stamps_and_notes(record),
        Facts("At a glance", facts),
        Table("Scores", heads, rows, note=f"Mean ± std over {record.unit}s."),
        *paired(record),
    ]
    if isinstance(record, OutputEvaluation):
        return blocks
    if record.snapshots:
        each = ", ".join(number(v) for v in record.snapshots.UA_of_each)
        blocks.append(Text(f"UA of each snapshot: {each}."))
    if record.average != "none":
        blocks.append(Text(f"The heads' weights are averages over training ({record.average})."))
    return [*blocks, _classes(record)]


def _predicted(record: AnyEvaluation) -> str:
    """The outputs, or how many classes; those of which the data have no utterance by name."""
    if isinstance(record, OutputEvaluation):
        return ", ".join(record.outputs)
    counts = record.data.classes
    none = [name for name, count in counts.items() if not count]
    if none:
        return f"{len(counts) - len(none)} of the head's {len(counts)} classes (none of {', '.join(none)})"
    return f"{len(counts)} classes"


def _classes(record: Evaluation) -> Table:
    matrix = record.confusion_matrix
    rows = []
    for name, counts in zip(matrix.labels, matrix.counts, strict=True):
        own = record.per_class[name]
        rows.append([name, *map(str, counts), *(number(v) for v in (own.recall, own.precision, own.F1))])
    head = ["true \\ predicted", *matrix.labels, "recall", "precision", "F1"]
    note = f"Recall, precision and F1 are means over the {record.unit}s."
    return Table(f"Confusions over all {record.unit}s, and scores of each class", head, rows, note=note)


def _calibration(record: Evaluation) -> list[Block]:
    rows = []
    for name, part in record.parts.items():
        for state, found in part.probabilities.states.items():
            values = [score(getattr(found, m)) for m in PROBABILITIES]
            rows.append([f"{name}, {state}", *values, number(found.ECE_by_chance.mean)])
        change = part.probabilities.change
        if change is not None:
            rows.append([f"{name}, change", *(score(getattr(change, m), signed=True) for m in PROBABILITIES), ""])
    note = (
        f"NLL in nats; Brier 0 to 2; ECE over {record.bins} bins of equally many utterances; by chance: of a head whose "
        "probabilities are exactly right, with as many utterances."
    )
    states = record.probabilities.states
    columns = [(f"{what}, {s}", getattr(f.reliability, what)) for s, f in states.items() for what in ("confidence", "accuracy")]
    points = [
        [str(k + 1), f"{n:g}", *(number(values[k]) for _, values in columns)]
        for k, n in enumerate(states["uncalibrated"].reliability.n)
    ]
    return [
        Table("Probabilities", ["probabilities", *PROBABILITIES, "ECE by chance"], rows, note=note),
        *(Text(line) for line in _temperature(record)),
        Table("The points of the diagrams", ["bin", "utterances", *(n for n, _ in columns)], points, closed=True),
    ]


def _temperature(record: Evaluation) -> list[str]:
    found = record.temperature
    if found is None:
        return ["The probabilities are not calibrated; ser evaluate --calibrate fits temperatures."]
    lines = [
        f"Temperature {found.mean:.3f} ({found.min:.3f} to {found.max:.3f}), {len(found.values)} of them, each fitted on the "
        f"{found.fitted_on}."
    ]
    if found.refitted:
        lines.append("Heads were then trained again on training and validation: the temperature is of the head before.")
    if found.at_bound:
        lines.append(f"{found.at_bound} temperatures are at the end of the allowed range.")
    return lines


def _abstention(record: Evaluation) -> list[Block]:
    found = record.selective
    accuracy = [["accuracy", *(score(m) for m in found.accuracy_at.values())]]
    area = f"AURC {score(found.AURC)}, above that of a perfect order {score(found.E_AURC)}."
    rows = []
    if found.from_validation is not None:
        held = found.from_validation.values()
        rows.append(["threshold from validation: answered", *(score(v.coverage) for v in held)])
        rows.append(["risk then", *(ABSENT if v.risk is None else score(v.risk) for v in held)])
    rows.append(["answered, in hindsight", *(score(m) for m in found.coverage_at.values())])
    shares, risks = ([f"{float(v):.0%}" for v in of] for of in (found.accuracy_at, found.coverage_at))
    return [
        Table("Accuracy on the surest utterances", ["answered, the surest first", *shares], accuracy, note=area),
        Table("Accepted risk, and what comes of it", ["accepted risk", *risks], rows),
    ]


def _conformal(record: Evaluation) -> list[Block]:
    """The coverage of conformal sets beside the one that was asked for, their sizes, and the coverage of each class."""
    found = record.conformal
    if found is UNSET:
        return []
    over = f" (95 % over speakers {interval(found.ci_95_speakers)})" if found.ci_95_speakers else ""
    line = (
        f"Sets made to hold the true class in {100 * found.asked:g} % hold it in {number(found.coverage.mean)}{over}: "
        f"{found.size.mean:.2f} classes on average; one class in {number(found.single.mean)}, none in "
        f"{number(found.empty.mean)}."
    )
    rows = [[name, number(share)] for name, share in found.by_class.items()]
    note = "Limits are of the validation part of each run and fold; the promise holds for utterances of the same speakers."
    return [Text(line), Table("Coverage of each class", ["true class", "in the set"], rows, note=note)]


def _novelty(entry: Novelty) -> Block:
    rows = [
        [name, score(found.AUROC), over_runs(found.AUROC), score(found.FPR95)] for name, found in entry.scores.known().items()
    ]
    heads = f"{many(entry.heads, 'head')}, mean over those of a run"
    note = f"{entry.n.novel} novel utterances, {entry.n.known} known; {heads}"
    if entry.without_novel:
        note += f"; {many(entry.without_novel, 'head')} without a novel utterance of their test speakers"
    caption = f"Known utterances against {entry.novel}"
    head = [f"novel: {entry.novel}", "AUROC", "95 % over runs", "FPR95"]
    return Table(caption, head, rows, note=". ".join([note, *entry.notes]))


def _gaps(record: Evaluation) -> list[Block]:
    groups = record.groups
    blocks: list[Block] = [gender_table(groups.gender, "Genders")] if groups.gender else []
    return [*blocks, *(_speakers(groups.speaker) if groups.speaker else [])]


def _speakers(found: Speakers) -> list[Block]:
    """All speakers, and the gap between the lowest and the highest beside that of chance."""
    gap = found.gap
    rows = [
        [name, *(f"{number(m.mean)} ({interval(m.ci_95)})" for m in (g.UA, g.WA)), str(g.n)]
        for name, g in sorted(found.groups.items(), key=lambda item: item[1].UA.mean)
    ]
    left_out = f" {found.left_out} speakers with fewer utterances left out." if found.left_out else ""
    return [
        Text(
            f"{gap.highest} minus {gap.lowest}: UA {gap.difference:.3f} ({interval(gap.ci_95)}). Utterances given to the "
            f"speakers at random make a gap of {gap.chance.mean:.3f}, 95 % below {gap.chance.quantile_95:.3f}: "
            f"p {p_value(gap.p)}."
        ),
        Text(f"Standard deviation between {len(found.groups)} speakers: {found.std:.3f}.{left_out}"),
        Table(
            "Speakers, lowest first",
            ["speaker", "UA (95 %)", "WA (95 %)", "utterances"],
            rows,
            note="The utterances of a speaker drawn again within each class.",
            closed=True,
        ),
    ]


def _votes(found: VoteScores) -> list[Block]:
    rows = [
        ["one annotator, expected", number(found.human.WA), number(found.human.UA)],
        ["the head", score(found.head.WA), score(found.head.UA)],
    ]
    states: dict[str, Distances | None] = {"uncalibrated": found.uncalibrated, "calibrated": found.calibrated}
    distances = [
        [name, *(score(getattr(d, m)) for m in DISTANCES), number(d.entropy.mean)]
        for name, d in states.items()
        if d is not None
    ]
    note = f"Votes of {found.n} utterances, of {found.complete} those of all annotators."
    head = ["distance to the votes", *DISTANCES, "least cross-entropy"]
    blocks: list[Block] = [
        Table("Head and annotators against the label", ["accuracy against the label", "WA", "UA"], rows, note=note),
        Table("Predictions and the votes of the annotators", head, distances),
    ]
    if found.pairwise:
        head_share, annotators = found.pairwise.head.mean, found.pairwise.annotators
        blocks.append(
            Text(
                f"The head names what an annotator heard in {head_share:.3f} of the cases, another annotator does in "
                f"{annotators:.3f}."
            )
        )
    return blocks


def _explanations(result: StoredResult) -> list[Block]:
    """The pictures of `ser evaluate --explain`; those that are no longer there are named."""
    if result.record.explanations is None:
        return []
    try:
        file = beside(result.path, result.record.explanations)
        found = read_record(file)
        if not isinstance(found, Explanations):
            return [Notice("Explanations that cannot be shown", [f"{file.name} is not a record of explanations"])]
    except SerError as error:
        return [Notice("Explanations that cannot be shown", [error.line()])]
    shown: list[Block] = []
    lost = []
    for name, words in _pictures(found):
        try:
            shown.append(Image(picture_beside(file, name), words))
        except SerError as error:
            lost.append(error.line())
    return [*shown, *([Notice("Pictures that cannot be shown", lost)] if lost else [])]


def _pictures(found: Explanations) -> list[tuple[str, str]]:
    """File names of pictures, and the same in words."""
    pictures = []
    if found.layers:
        means = [f"{store}: " + ", ".join(number(v) for v in w.mean) for store, w in found.layers.items()]
        pictures.append(("layers.png", f"Weights of the layers of the encoder, mean over heads. {'; '.join(means)}."))
    if found.modalities.shapley_of_UA:
        shares = ", ".join(f"{name} {share.mean:+.3f}" for name, share in found.modalities.shapley_of_UA.items())
        pictures.append(("modalities.png", f"Contribution of each modality to UA (Shapley values): {shares}."))
    for e in found.examples:
        for name in e.pictures:
            what = {"activation": "Class activation", "attention": "Attention"}.get(name.split(".")[-2:][0], "Picture")
            words = f"{what} of {e.utterance_id}: {e.true}, recognised as {e.predicted} ({e.probability:.2f}), by {e.head}."
            pictures.append((name, words))
    return pictures
