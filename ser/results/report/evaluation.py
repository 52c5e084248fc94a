"""Sections on an evaluation of heads on classes."""

from collections.abc import Mapping

from msgspec import UNSET

from ser.errors import SerError
from ser.jsonfile import plain
from ser.results.blocks import Block, Command, Facts, Image, Notice, Section, Table, Text
from ser.results.cells import (
    ABSENT,
    TESTED,
    date,
    head_of,
    interval,
    many,
    number,
    over_runs,
    p_value,
    score,
    score_cells,
    score_heads,
    tested,
)
from ser.results.metrics.suite import REASONS, REASONS_OF_CCC
from ser.results.records.beside import beside, picture_beside
from ser.results.records.evaluation import (
    PROBABILITIES,
    AnyEvaluation,
    Distances,
    EvaluatedOutput,
    Evaluation,
    Novelty,
    Speakers,
    Suite,
    SuiteCheck,
    VoteScores,
)
from ser.results.records.explanations import Explanations
from ser.results.records.kinds import read_record
from ser.results.records.model import Comparison
from ser.results.report.background import FactRows, code_of, flat, stamps_and_notes
from ser.results.report.summary import gender_table
from ser.results.stored_result import StoredResult

DISTANCES = ("cross_entropy", "JS", "TVD")
P_NOTE = "p is over models and speakers together, and the one that counts; p over models or over speakers alone is too small."


def evaluation_sections(result: StoredResult, full: bool) -> list[Section]:
    """Headline and scores; calibration, abstention, novelty, gaps, votes and explanations where there are any."""
    record: Evaluation = result.record
    tables = {
        "Result": ("", _result(result)),
        "Robustness and fairness": ("suite", suite_tables(record.suite) if record.suite else []),
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


def drawn(result: StoredResult, kind: str, blocks: list[Block], full: bool) -> list[Block]:
    """Put the picture of a kind, if there is one and the report is a whole one, before blocks."""
    if not kind or not full:
        return blocks
    from ser.results.plotting.gallery import draw

    return [draw(result, kind), *blocks]


def _result(result: StoredResult) -> list[Block]:
    record: Evaluation = result.record
    ua, data = record.scores.main, record.data
    over = f" (95 % over speakers {interval(ua.ci_95_speakers)})" if ua.ci_95_speakers else ""
    classes, none = len(data.classes), [name for name, count in data.classes.items() if not count]
    there = (
        f"{classes - len(none)} of the head's {classes} classes (none of {', '.join(none)})"
        if none
        else f"{classes} classes"
    )
    what = f"{data.utterances} utterances, {there}, {many(record.scores.main.n, record.unit)}"
    lead = f"UA {number(ua.mean)}{over} on {data.dataset}: {what}. Chance is {number(1 / classes)}."
    rows = [
        [name, *score_cells(part.scores), interval(part.scores.main.ci_95_speakers or None), str(part.scores.main.n)]
        for name, part in record.parts.items()
    ]
    head = ["test predictions", *score_heads(record.scores), "UA, 95 % over speakers", f"{record.unit}s"]
    blocks: list[Block] = [
        Text(lead, lead=True),
        *stamps_and_notes(record),
        Facts("At a glance", evaluation_facts(result)),
        Table("Scores", head, rows, note=f"Mean ± std over {record.unit}s."),
        *paired(record),
    ]
    if record.snapshots:
        each = ", ".join(number(v) for v in record.snapshots.UA_of_each)
        blocks.append(Text(f"UA of each snapshot: {each}."))
    if record.average != "none":
        blocks.append(Text(f"The heads' weights are averages over training ({record.average})."))
    return [*blocks, _classes(record)]


def evaluation_facts(result: StoredResult) -> FactRows:
    """Names and values: the heads that were evaluated, and the data."""
    record: AnyEvaluation = result.record
    data, model = record.data, record.model
    heads = f"{many(model.runs, 'run')} of {many(model.folds, 'fold')}, {many(model.heads, 'saved head')}"
    learned = getattr(record, "learns", None)
    words = [data.dataset, f"target {learned}"] if learned else [data.dataset]
    if learned in (None, "labels"):  # of dimensions alone, the scheme plays no part
        words.append(f"scheme {data.scheme}")
    rows = [
        ("evaluation", record.experiment + (f", at {model.amount}" if model.amount else "")),
        ("record", result.path.name),
        ("data", f"{', '.join(words)}, {data.utterances} utterances: {data.rows}"),
        ("heads", heads if model.kind == "experiment" else "one saved head"),
    ]
    if data.dropped:
        rows.append(("left out", ", ".join(f"{reason}: {count}" for reason, count in data.dropped.items())))
    beside = [file.path for file in record.files.values()]
    rows += [("tables", ", ".join(beside))] if beside else []
    shown = getattr(record, "explanations", None)
    rows += [("explanations", shown)] if shown else []
    rows += [("code", code_of(record.environment)), ("date", f"{date(record.time.started)} UTC")]
    return [*rows, ("command", record.command)]


def paired(record: AnyEvaluation) -> list[Block]:
    """Paired comparisons of each average with its parts."""
    pairs: dict[str, Comparison] = {}
    if record.tta:
        pairs["mean of views minus original"] = record.tta.comparison
    if record.ensemble:
        pairs["mean of runs minus one by one"] = record.ensemble.comparison
    if isinstance(record, Evaluation) and record.snapshots:
        pairs["snapshots minus the last one"] = record.snapshots.comparison_with_last
    rows = [[name, *tested(c, None)[:-1]] for name, c in pairs.items()]
    metric = next((c.metric for c in pairs.values()), "")
    head = ["paired", f"{metric} difference", "95 %", *TESTED[:-1]]
    caption = "What averaging changes, on the same utterances"
    return [Table(caption, head, rows, note=P_NOTE)] if rows else []


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
    columns = [
        (f"{what}, {s}", getattr(f.reliability, what)) for s, f in states.items() for what in ("confidence", "accuracy")
    ]
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
    note = (
        "Limits are of the validation part of each run and fold; the promise holds for utterances of the same speakers."
    )
    return [Text(line), Table("Coverage of each class", ["true class", "in the set"], rows, note=note)]


def _novelty(entry: Novelty) -> Block:
    rows = [
        [name, score(found.AUROC), over_runs(found.AUROC), score(found.FPR95)]
        for name, found in entry.scores.known().items()
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
            words = (
                f"{what} of {e.utterance_id}: {e.true}, recognised as {e.predicted} ({e.probability:.2f}), by {e.head}."
            )
            pictures.append((name, words))
    return pictures


VERDICTS = {True: "pass", False: "fail"}


def suite_tables(found: Suite) -> list[Block]:
    """The checks, those of conditions and those of groups, each with its limit and verdict."""
    name = head_of(found.metric)
    failed = [c.name for c in found.checks if not c.passed]
    lead = f"{len(found.checks) - len(failed)} of {len(found.checks)} checks passed"
    lead += f"; failed: {'; '.join(failed)}." if failed else "."
    conditions = [
        [c.name, number(c.reached), f"{c.value:+.3f}", interval(c.ci_95), number(c.unchanged), *_verdict(c)]
        for c in found.checks
        if c.kind == "robustness"
    ]
    groups = [
        [c.name, f"{c.value:+.3f}", interval(c.ci_95), *_verdict(c)] for c in found.checks if c.kind != "robustness"
    ]
    blocks: list[Block] = [
        Text(lead),
        Table(
            "The test audio in other conditions",
            ["condition", name, f"loss of {name}", "95 %", "same answer", "limit", "verdict"],
            conditions,
            note="Paired with the original audio; speakers and runs drawn again. Same answer: share of the predictions. "
            "Unsure: the interval reaches over the limit.",
        ),
    ]
    if groups:
        heads = ["groups", f"{name} difference", "95 %", "limit", "verdict"]
        note = (
            "Genders, languages, corpora: speakers drawn again within each; the best and the worst speaker: utterances."
        )
        blocks.append(Table("Gaps between groups and speakers", heads, groups, note=note))
    known = {kind: limit for kind, limit in found.limits.items() if kind in REASONS}
    limits = [
        (f"{kind} {limit:g}", (REASONS_OF_CCC if name == "CCC" else REASONS)[kind].format(name))
        for kind, limit in known.items()
        if kind not in found.not_checked
    ]
    if found.not_checked:
        limits.append(("not checked", f"{', '.join(found.not_checked)}: not known, or one group alone"))
    return [*blocks, Facts("Limits", limits)]


def _verdict(check: SuiteCheck) -> list[str]:
    return [f"{check.limit:g}", VERDICTS[check.passed] + ("" if check.sure else ", unsure")]


def output_tables(outputs: Mapping[str, EvaluatedOutput], unit: str) -> list[Block]:
    """The scores of each dimension or label, how far predictions are to be taken at their word, and intervals if there are."""
    scores = [
        [name, *(f"{number(m.mean)} ({interval(m.ci_95_speakers or None)})" for _, m in found.scores.items())]
        for name, found in outputs.items()
    ]
    agreement = [
        [name, score(found.bias, signed=True), ABSENT if found.slope is None else score(found.slope), score(found.gap)]
        for name, found in outputs.items()
    ]
    held = [
        [
            name,
            f"{found.interval.asked:g}",
            f"{number(found.interval.coverage.mean)} ({interval(found.interval.ci_95_speakers)})",
            ABSENT if found.interval.margin is None else f"± {found.interval.margin.mean:.3f}",
        ]
        for name, found in outputs.items()
        if found.interval
    ]
    first = next(iter(outputs.values()))
    curve = [
        [name, str(k + 1), f"{n:g}", number(predicted), number(rated)]
        for name, found in outputs.items()
        for k, (n, predicted, rated) in enumerate(
            zip(found.curve.n, found.curve.predicted, found.curve.rated, strict=True)
        )
    ]
    blocks: list[Block] = [
        Table("Scores of each output", ["output", *score_heads(first.scores)], scores, note="95 % over speakers."),
        Table(
            "Predictions taken at their word",
            ["output", "bias", "slope", "gap"],
            agreement,
            note=f"Mean over {unit}s. Bias: predicted minus rated. Slope of the rated on the predicted value: below 1 the "
            "predictions exaggerate, above 1 they are drawn together. Gap: between means of predicted and rated, over bins.",
        ),
    ]
    if held:
        heads = ["output", "asked", "hold the rating (95 % over speakers)", "interval"]
        note = "Margins are of the validation part of each run and fold; the promise holds for utterances of the same speakers."
        blocks.append(Table("Conformal intervals", heads, held, note=note))
    answers = [
        [
            name,
            f"{found.answers.asked:g}",
            f"{number(found.answers.coverage.mean)} ({interval(found.answers.ci_95_speakers)})",
            *(number(found.answers.by_class.get(answer)) for answer in ("yes", "no")),
            number(found.answers.single.mean),
            number(found.answers.empty.mean),
        ]
        for name, found in outputs.items()
        if found.answers
    ]
    if answers:
        heads = ["label", "asked", "hold the answer (95 % over speakers)", "of yes", "of no", "one answer", "none"]
        note = "Sets of yes and no for each label by itself; limits are of the validation part of each run and fold."
        blocks.append(Table("Conformal answers", heads, answers, note=note))
    heads = ["output", "bin", "utterances", "predicted", "rated"]
    return [*blocks, Table("Means of predicted and rated values, by the prediction", heads, curve, closed=True)]


def again(result: StoredResult) -> list[Block]:
    """The command, and what must be the same for the same numbers."""
    record: AnyEvaluation = result.record
    stores = [(f"features {name}", f"SHA-256 {s['features_sha256']}") for name, s in record.data.stores.items()]
    table = [("table", f"SHA-256 {record.data.table.sha256}")] if record.data.table else []
    return [
        Command("Give this command in a workspace with the same tables, features and heads", record.command),
        Facts("It is the same where these are the same", [*table, *stores]),
        Facts("Versions and machine", list(flat(plain(record.environment))), closed=True),
    ]
