"""The background of a result: its data and command at a glance, its stamps, and the appendix by which it can be made again."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import UNSET

from ser.jsonfile import plain
from ser.metadata.targets import has_classes
from ser.results.blocks import Block, Command, Facts, Notice, Section, Table, Text
from ser.results.cells import ABSENT, date, many
from ser.results.records.data_facts import AuditFacts, DataFacts, FoldFacts, data_facts, dropped_in_words
from ser.results.records.find import dataset_of, fact_of, is_system, word_of
from ser.results.records.model import AnySummary, Environment, Opening, tested_utterances
from ser.results.stored_result import StoredResult

GROUPS = {"speaker": "speakers", "session": "sessions", "dialogue": "dialogues", "sentence": "sentences"}
SHOWN_ELSEWHERE = ("audit", "folds", "datasets", "label_space")  # of the facts about data
CONFIG = ("head", "loss", "stores", "normalize")
MANY_NOTES = 20
_VARYING = re.compile(r"fold [^,:]+|\d+(\.\d+)?")  # of notes
FactRows = list[tuple[str, str]]


def stamps_and_notes(record: Any) -> list[Block]:
    """The audit's stamps and the runs' notes, which stand before all numbers."""
    stamps = list(record.stamps) or [no_stamps(record)]
    found: list[Block] = [Notice("Stamps: what a reader of these numbers must know", stamps, warning=bool(record.stamps))]
    notes = shown_notes(getattr(record, "notes", None) or [])
    return [*found, *([Notice("Notes of the runs", notes)] if notes else [])]


def shown_notes(notes: Sequence[str]) -> list[str]:
    """The notes of a record; of more than `MANY_NOTES` each kind once, with their number: runs, folds and numbers are no kinds.

    >>> for note in shown_notes([f"run {k}, fold a: {k} there" for k in range(30)] + ["run 2, fold b: diverged"]): print(note)
    run 0, fold a: 0 there (and 29 more like it)
    run 2, fold b: diverged
    Each by itself: the field notes of the record.
    """
    if len(notes) <= MANY_NOTES:
        return list(notes)
    alike: dict[str, list[str]] = {}
    for note in notes:
        alike.setdefault(_VARYING.sub("#", note), []).append(note)
    said = [one + (f" (and {len(rest)} more like it)" if rest else "") for one, *rest in alike.values()]
    return [*said, *["Each by itself: the field notes of the record."][: len(said) < len(notes)]]


def no_stamps(record: Any) -> str:
    """The sentence in place of stamps: it claims no more than what was looked for. None: a head without a record."""
    found = "No stamps: the checks found nothing that limits what these numbers mean."
    if not isinstance(getattr(record, "data", None), dict):
        return f"{found} What was not looked for, the experiment's own record tells."
    audits = [part.audit for part in _datasets(data_facts(record)).values()]
    missing = ["what training and test share, as there is no audit"] if None in audits else []
    if any(audit is None or audit.copies is None for audit in audits):
        missing.append("copies of test audio in training; ser audit listens")
    return f"{found} Not looked for: {'; '.join(missing)}." if missing else found


def overview(result: StoredResult) -> Facts:
    """Data, configuration, date, code and command of a summary or a study, in a few lines."""
    record: Opening = result.record
    scheme = ["scheme"] if has_classes(word_of(record, "learns")) else []
    words = [dataset_of(record), *_named(record, ("learns", *scheme, "protocol"))]
    rows: FactRows = [("experiment", record.experiment), ("record", result.path.name)]
    if isinstance(record, AnySummary):
        words.append(f"{result.outputs_in_words}, {tested_utterances(result.numbers):g} test utterances per run")
        runs, folds = ({getattr(r, of) for r in result.record.runs} for of in ("run", "fold"))
        seconds = f", {record.time.seconds:.0f} s of training" if not is_system(record) else ""
        rows.append(("runs", f"{many(len(runs), 'run')} of {many(len(folds), 'fold')}{seconds}"))
    rows.append(("data", ", ".join(words)))
    left_out = _left_out(data_facts(record))
    rows += [("left out", left_out)] if left_out else []
    rows.append(("configuration", ", ".join([*_named(record, CONFIG), f"hash {record.config_hash}"])))
    rows += [("code", code_of(record.environment)), ("date", f"{date(record.time.started)} UTC")]
    return Facts("At a glance", [*rows, ("command", record.command)])


def _named(record: Opening, keys: tuple[str, ...]) -> list[str]:
    found = {key: fact_of(record, key) for key in keys}
    words = {"learns": "target", **({"head": "system"} if is_system(record) else {})}
    return [
        f"{words.get(key, key)} {'+'.join(map(str, value)) if isinstance(value, (list, dict)) else value}"
        for key, value in found.items()
        if value not in (None, "", [], {})
    ]


def _left_out(data: DataFacts) -> str:
    """The utterances of the table that are not in use, by reason; of several datasets by each."""
    if data.datasets:
        found = {name: _left_out(part) for name, part in data.datasets.items()}
        return "; ".join(f"{name}: {reasons}" for name, reasons in found.items() if reasons)
    return dropped_in_words(data.dropped)


def code_of(environment: Environment) -> str:
    """Versions and device in one line."""
    commit = f" at {environment.commit[:10]}" if environment.commit else ""
    changed = " with changes that were not committed" if environment.modified else ""
    torch = environment.packages.get("torch")
    return f"ser {environment.ser}{commit}{changed}, Python {environment.python}, torch {torch}, on {environment.device}"


def provenance_sections(result: StoredResult) -> list[Section]:
    """Sections on data and audit, configuration, environment and reproduction."""
    record: Opening = result.record
    environment = list(flat(plain(record.environment)))
    found: dict[str, list[Block]] = {
        "Data and audit": _data(record),
        "Configuration": [Facts("All that decides the numbers", list(flat(record.config)), closed=True)],
        "Environment": [Facts("Versions and machine", environment)],
        "How to reproduce": _again(result),
    }
    return [Section(title, blocks, appendix=True) for title, blocks in found.items()]


def flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested content as names with dots and texts.

    >>> list(flat({"a": {"b": 1, "c": None}, "d": [1, 2]}))
    [('a.b', '1'), ('a.c', '-'), ('d', '1, 2')]
    """
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(v, (dict, list)) for v in value):
        for number, inner in enumerate(value):
            yield from flat(inner, f"{name}.{number}")
    elif isinstance(value, list):
        yield name, ", ".join(map(str, value)) or ABSENT
    else:
        yield name, ABSENT if value in (None, {}, "") else str(value)


def _datasets(data: DataFacts) -> dict[str, DataFacts]:
    return data.datasets or {data.dataset: data}


def _data(record: Opening) -> list[Block]:
    """The audit of each dataset in words, and all that is recorded of it."""
    blocks: list[Block] = []
    stated = record.data.get("datasets") or {record.data.get("dataset", ""): record.data}
    for name, part in _datasets(data_facts(record)).items():
        blocks += [Notice(f"Audit of {name}", audit_lines(part.audit), warning=False)] if part.audit else []
        others = {key: value for key, value in stated[name].items() if key not in SHOWN_ELSEWHERE}
        blocks.append(Facts(f"Data of {name}", [*flat(others), *map(_fold, part.folds)], closed=True))
    return blocks


def _fold(fold: FoldFacts) -> tuple[str, str]:
    sizes = [f"{part} {size}" for part in ("train", "validation", "test") if (size := getattr(fold, part)) is not UNSET]
    return f"fold {fold.name}", f"{', '.join(sizes)}; validation by {fold.validation_by or ABSENT}"


def audit_lines(audit: AuditFacts) -> list[str]:
    """The groups that training and test share, in words."""
    lines = []
    for name, share in audit.shares.items():
        things = GROUPS.get(name, f"{name}s")
        if not share.known:
            lines.append(f"{things}: the table does not say")
            continue
        seen = max(share.shared, share.shared_with_validation)
        where = "none of these is in training or validation"
        if seen:
            where = f"up to {seen} of these are in training or validation too"
        unknown = f"; unknown for {share.unknown} utterances" if share.unknown else ""
        lines.append(f"{things}: a fold tests {share.test:.1f} on average; {where}{unknown}")
    independent = {True: "yes", False: "no", None: "not known"}[audit.speaker_independent]
    lines.append(f"speaker-independent: {independent}")
    lines.append(f"utterances in two parts of a fold: {audit.overlap}")
    if audit.copies is None:
        return [*lines, "copies of test audio in training: not looked for; ser audit listens"]
    return [*lines, *(f"copies of test audio: {name} {value}" for name, value in flat(audit.copies))]


def _again(result: StoredResult) -> list[Block]:
    record: Opening = result.record
    blocks: list[Block] = [
        Command("Give this command in a workspace with the same tables and features", record.command),
        Facts("It is the same where these are the same", [("configuration", record.config_hash), *_hashes(data_facts(record))]),
    ]
    if record.environment.modified:
        warning = "The code had changes that were not committed: the commit alone does not give these numbers."
        blocks.insert(1, Text(warning))
    return [*blocks, *_runs(result)]


def _hashes(data: DataFacts) -> Iterator[tuple[str, str]]:
    for name, part in _datasets(data).items():
        if part.table:
            yield f"{name}: table", f"SHA-256 {part.table.sha256}"
        yield from ((f"{name}: features {store}", f"SHA-256 {s.features_sha256}") for store, s in part.stores.items())
        if part.folds_sha256:
            yield f"{name}: folds", f"SHA-256 {part.folds_sha256}"


def _runs(result: StoredResult) -> list[Block]:
    """The trainings of a summary, each with the hash of its predictions; the experiments of a study with their records."""
    if not result.is_summary:
        rows = [[name, record] for name, record in result.record.members()]
        return [Table("Records of its parts", ["part", "record"], rows, left=2, closed=True)] if rows else []
    rows = [[str(r.run), r.fold, str(r.seed), str(r.best_epoch or ABSENT), r.predictions_sha256[:16]] for r in result.records]
    head = ["run", "fold", "seed", "best epoch", "predictions, SHA-256"]
    caption = f"Each of {len(rows)} trainings" + (f" at {result.amount}" if result.amount else "")
    return [Table(caption, head, rows, left=2, closed=True)]
