"""Tables and facts that evaluations on classes, dimensions and labels have in common."""

from collections.abc import Mapping

from ser.jsonfile import plain
from ser.metadata.targets import has_classes
from ser.results.blocks import Block, Command, Facts, Notice, Table, Text
from ser.results.cells import ABSENT, TESTED, date, disagreement, head_of, interval, many, number, runs_interval, score, tested
from ser.results.metrics.suite import REASONS, REASONS_OF_CCC
from ser.results.records.data_facts import dropped_in_words
from ser.results.records.evaluated_output import EvaluatedOutput
from ser.results.records.evaluation import AnyEvaluation, Evaluation, SuiteCheck
from ser.results.records.numbers import Comparison, chance
from ser.results.report.background import FactRows, code_of, flat
from ser.results.stored_result import StoredResult

P_NOTE = "p is over models and speakers together, and the one that counts; p over models or over speakers alone is too small."
VERDICTS = {True: "pass", False: "fail"}


def drawn(result: StoredResult, kind: str, blocks: list[Block], full: bool) -> list[Block]:
    """Put the picture of a kind, if there is one and the report is a whole one, before blocks."""
    if not kind or not full:
        return blocks
    from ser.results.plotting.gallery import draw

    return [draw(result, kind), *blocks]


def evaluation_facts(result: StoredResult) -> FactRows:
    """Names and values: the heads that were evaluated, and the data."""
    record: AnyEvaluation = result.record
    data, model = record.data, record.model
    heads = f"{many(model.runs, 'run')} of {many(model.folds, 'fold')}, {many(model.heads, 'saved head')}"
    learned = getattr(record, "learns", None)
    words = [data.dataset, f"target {learned}"] if learned else [data.dataset]
    if has_classes(learned):
        words.append(f"scheme {data.scheme}")
    rows = [
        ("evaluation", record.experiment + (f", at {model.amount}" if model.amount else "")),
        ("record", result.path.name),
        ("data", f"{', '.join(words)}, {data.utterances} utterances: {data.rows}"),
        ("heads", heads if model.kind == "experiment" else "one saved head"),
    ]
    if data.dropped:
        rows.append(("left out", dropped_in_words(data.dropped)))
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
    head = ["paired", f"{head_of(metric)} difference", "95 %", *TESTED[:-1]]
    caption = "What averaging changes, on the same utterances"
    return [Table(caption, head, rows, note=P_NOTE + disagreement(pairs.items()))] if rows else []


def by_chance(record: AnyEvaluation) -> float | None:
    """The main metric of a guess: UA as `numbers.chance` says, CCC 0; None of others."""
    if isinstance(record, Evaluation):
        return chance(record.per_class)
    return 0.0 if record.scores.names[0] == "CCC" else None


def _knows_nothing(record: AnyEvaluation) -> list[Block]:
    """The warning that heads which only guess pass checks of differences: they have nothing to lose."""
    main, guess = record.scores.main, by_chance(record)
    ends = main.ci_95_speakers or runs_interval(main)
    if guess is None or (ends[0] if ends else main.mean) > guess:
        return []
    over = f" (95 % {interval(ends)})" if ends else ""
    line = (
        f"{head_of(record.scores.names[0])} of the original audio is {number(main.mean)}{over}, not surely "
        f"above chance ({number(guess)}): a head that guesses loses nothing and prefers no one, so a pass says little."
    )
    return [Notice("What a pass is worth", [line])]


def suite_tables(record: AnyEvaluation) -> list[Block]:
    """The checks, those of conditions and those of groups, each with its limit and verdict; none without a suite."""
    found = record.suite
    if not found:
        return []
    name = head_of(found.metric)
    failed = [c.name for c in found.checks if not c.passed]
    lead = f"{len(found.checks) - len(failed)} of {len(found.checks)} checks passed"
    unsure = sum(c.passed and not c.sure for c in found.checks)
    lead += f", {unsure} of them unsure" if unsure else ""
    lead += f"; failed: {'; '.join(failed)}." if failed else "."
    conditions = [
        [c.name, number(c.reached), f"{c.value:+.3f}", interval(c.ci_95), number(c.unchanged), *_verdict(c)]
        for c in found.checks
        if c.kind == "robustness"
    ]
    groups = [[c.name, f"{c.value:+.3f}", interval(c.ci_95), *_verdict(c)] for c in found.checks if c.kind != "robustness"]
    blocks: list[Block] = [
        Text(lead),
        *_knows_nothing(record),
        Table(
            "The test audio in other conditions",
            ["condition", name, f"loss of {name}", "95 %", "same answer", "limit", "verdict"],
            conditions,
            note="Paired with the original audio; speakers and runs drawn again. Same answer: the share of the "
            "predictions that are the same as on the original audio. "
            "Unsure: the interval reaches over the limit.",
        ),
    ]
    if groups:
        heads = ["groups", f"{name} difference", "95 %", "limit", "verdict"]
        note = "Genders, languages, corpora: speakers drawn again within each; the best and the worst speaker: utterances."
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
    first = next(iter(outputs.values()))
    labels = "F1_macro" in first.scores.names
    # Of one label macro and micro F1 are one number, and the Hamming loss is 1 minus the exact matches.
    heads = {"F1_macro": "F1", "exact": "right answers"} if labels else {m: head_of(m) for m in first.scores.names}
    scores = [
        [name, *(f"{number(m.mean)} ({interval(m.ci_95_speakers or None)})" for k, m in each.items() if k in heads)]
        for name, each in ((name, found.scores) for name, found in outputs.items())
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
    curve = [
        [name, str(k + 1), f"{n:g}", number(predicted), number(rated)]
        for name, found in outputs.items()
        for k, (n, predicted, rated) in enumerate(zip(found.curve.n, found.curve.predicted, found.curve.rated, strict=True))
    ]
    thing, words, between = (
        ("label", "Too high by: mean probability minus the share of utterances with the label. Slope of the answer (yes is 1, "
         "no is 0) on the probability:", "mean probability and share of utterances with the label")
        if labels
        else ("output", "Bias: predicted minus rated. Slope of the rated on the predicted value:",
              "means of predicted and rated")
    )  # fmt: skip
    blocks: list[Block] = [
        Table(f"Scores of each {thing}", [thing, *heads.values()], scores, note="95 % over speakers."),
        Table(
            "Predictions taken at their word",
            [thing, "too high by" if labels else "bias", "slope", "gap"],
            agreement,
            note=f"Mean over {unit}s. {words} below 1 the predictions exaggerate, above 1 they are drawn together. "
            f"Gap: between {between}, over bins.",
        ),
    ]
    if held:
        titles = ["output", "asked", "hold the rating (95 % over speakers)", "interval"]
        note = "Margins are of the validation part of each run and fold; the promise holds for utterances of the same speakers."
        blocks.append(Table("Conformal intervals", titles, held, note=note))
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
        titles = ["label", "asked", "hold the answer (95 % over speakers)", "of yes", "of no", "one answer", "none"]
        note = "Sets of yes and no for each label by itself; limits are of the validation part of each run and fold."
        blocks.append(Table("Conformal answers", titles, answers, note=note))
    ends = ["mean probability", "share with the label"] if labels else ["predicted", "rated"]
    caption = "Mean probability and share of utterances with the label" if labels else "Means of predicted and rated values"
    titles = [thing, "bin", "utterances", *ends]
    return [*blocks, Table(f"{caption}, by the prediction", titles, curve, closed=True)]


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
