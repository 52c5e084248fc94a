"""The last sections of a report: of which data, with what configuration, by which code, and how to make it again."""

from collections.abc import Iterator
from typing import Any

from ser.results.records.result import Source
from ser.results.report.blocks import Block, Command, Facts, Notice, Section, Table, Text
from ser.results.report.tables import ABSENT, date

GROUPS = {"speaker": "speakers", "session": "sessions", "dialogue": "dialogues", "sentence": "sentences"}


def provenance(source: Source) -> list[Section]:
    """Data and audit, configuration, environment, how to reproduce."""
    result = source.result
    return [
        Section("Data and audit", _data(result)),
        Section("Configuration", [Facts("All that decides the numbers", list(flat(result["config"])), closed=True)]),
        Section("Environment", [Facts("Where it was computed", list(flat(result["environment"])))]),
        Section("How to reproduce", _again(source)),
    ]


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


def _data(result: dict[str, Any]) -> list[Block]:
    data = result["data"]
    parts = data.get("datasets") or {data.get("dataset", ""): data}
    blocks: list[Block] = []
    for name, part in parts.items():
        lines = audit_lines(part["audit"]) if part.get("audit") else []
        blocks += [Notice(f"Audit of {name}", lines, warning=False)] if lines else []
        blocks.append(Facts(f"Data of {name}", list(_facts(part)), closed=True))
    return blocks


def _facts(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    left_out = ("audit", "folds", "datasets", "label_space")
    yield from flat({key: value for key, value in data.items() if key not in left_out})
    folds = data.get("folds") or []
    for fold in folds:
        sizes = ", ".join(f"{part} {fold[part]}" for part in ("train", "validation", "test") if part in fold)
        yield f"fold {fold['name']}", f"{sizes}; validation by {fold.get('validation_by') or ABSENT}"


def audit_lines(audit: dict[str, Any]) -> list[str]:
    """What training and test share, in words."""
    lines = []
    for name, share in audit["shares"].items():
        things = GROUPS.get(name, f"{name}s")
        if not share.get("known"):
            lines.append(f"{things}: the table does not say")
            continue
        seen = max(share["shared"], share["shared_with_validation"])
        where = (
            f"up to {seen} of a fold's are in training or validation too"
            if seen
            else "none is in training or validation"
        )
        unknown = f"; unknown for {share['unknown']} utterances" if share["unknown"] else ""
        lines.append(f"{things}: of {share['test']:g} in the test part of a fold (mean), {where}{unknown}")
    independent = {True: "yes", False: "no", None: "not known"}[audit["speaker_independent"]]
    lines.append(f"speaker-independent: {independent}")
    lines.append(f"utterances in two parts of a fold: {audit['overlap']}")
    copies = audit.get("copies")
    if copies is None:
        lines.append("copies of test audio in training: not looked for; ser audit listens")
    else:
        lines += [f"copies of test audio: {name} {value}" for name, value in flat(copies)]
    return lines


def _again(source: Source) -> list[Block]:
    result = source.result
    environment = result["environment"]
    commit = environment.get("commit")
    code = f"ser {environment['ser']}" + (f", commit {commit}" if commit else "")
    code += ", with changes that were not committed" if environment.get("modified") else ""
    rows = [
        ("experiment", str(result["experiment"])),
        ("record", source.path.name),
        ("configuration", f"{result['config_hash']} (SHA-256, first 12 digits)"),
        ("code", code),
        ("date", f"{date(result['time']['started'])} UTC"),
        ("training time", f"{result['time']['seconds']:.0f} s, all runs together"),
        *_hashes(result["data"]),
    ]
    blocks: list[Block] = [
        Command("Give this command in a workspace with the same tables and features", str(result["command"])),
        Facts("It is the same where these are the same", rows),
    ]
    if environment.get("modified"):
        blocks.insert(
            1, Text("The code had changes that were not committed: the commit alone does not give these numbers.")
        )
    return [*blocks, *_runs(source)]


def _hashes(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, part in (data.get("datasets") or {data.get("dataset", ""): data}).items():
        if "table" in part:
            yield f"{name}: table", f"SHA-256 {part['table']['sha256']}"
        for store, about in part.get("stores", {}).items():
            yield f"{name}: features {store}", f"SHA-256 {about['features_sha256']}"
        if "folds_sha256" in part:
            yield f"{name}: folds", f"SHA-256 {part['folds_sha256']}"


def _runs(source: Source) -> list[Block]:
    """A line a training: seed, epoch, and the hash of its predictions."""
    if not source.is_summary:
        members = [m for m in _members(source.result) if m.get("record")]
        rows = [[str(m.get("name") or m.get("experiment")), str(m["record"])] for m in members]
        return [Table("Records of its parts", ["part", "record"], rows, left=2, closed=True)] if rows else []
    rows = [
        [str(r["run"]), str(r["fold"]), str(r["seed"]), str(r.get("best_epoch", ABSENT)), r["predictions_sha256"][:16]]
        for r in source.records
    ]
    head = ["run", "fold", "seed", "best epoch", "predictions, SHA-256"]
    caption = f"Each of {len(rows)} trainings" + (f" at {source.amount}" if source.amount else "")
    return [Table(caption, head, rows, left=2, closed=True)]


def _members(study: dict[str, Any]) -> list[dict[str, Any]]:
    found = [part for key in ("variants", "methods", "settings", "cells") for part in study.get(key, [])]
    return [m for m in found if isinstance(m, dict)]
