"""The facts that a record states about its data, made again from tables, ids in stores and the protocol.

These are rows, classes, folds, the audit and stamps. Nothing is trained and no features are read. The facts are also compared
with the configuration, whose hash every run has, and the sizes of folds with those of the runs.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec import UNSET

from ser.errors import ConfigError, CorpusError, SerError
from ser.metadata.labels import FILES
from ser.results.records.model import FewshotSummary, Summary
from ser.results.records.notes import notes_of
from ser.results.verification.runs import Runs
from ser.results.verification.verdict import Verdict
from ser.workspace import Workspace

SIZES = ("train", "validation", "test")
FACTS = ("corpus", "licence")  # of the table's description, which may be written better later
TAKEN = "command, environment, time of the start, and what the data are called and licensed as: taken as they are"


def corpora(data: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give the name, the place in the record and the facts of each dataset that has a table.

    Raises:
        ConfigError: a name would lead out of the workspace.
    """
    found = [(str(data["dataset"]), "$.data", data)] if "table" in data else []
    for name, part in data.get("datasets", {}).items():
        if isinstance(part, dict) and "table" in part:
            found.append((str(name), f"$.data.datasets.{name}", part))
    for name, where, part in found:
        if name in ("", ".", "..") or set(name) & set("/\\\0"):
            raise ConfigError(f"{where}: {name!r} is not the name of a dataset")
        yield name, where, part


def own_scheme(scheme: str, space: Workspace) -> str:
    """A label scheme that a record names.

    Raises:
        ConfigError: it is a file outside the workspace, which a record from elsewhere must not have read.
    """
    if Path(scheme).suffix in FILES and not Path(scheme).resolve().is_relative_to(space.root.resolve()):
        raise ConfigError(f"the label scheme {scheme} is a file outside the workspace")
    return scheme


def verify_data_facts(
    summary: Summary | FewshotSummary, runs: Runs, unchanged: list[str], space: Workspace, verdict: Verdict
) -> None:
    """Compare `data`, `stamps` and `notes` of a summary with the same made again.

    Args:
        unchanged: datasets whose tables and stores are as they were.
    """
    data = summary.data
    parts = list(corpora(data))
    verdict.beyond.append(TAKEN)
    _inputs(summary, parts, verdict)
    _sizes(data, runs, verdict)
    if runs.whole and summary.notes is not UNSET:
        verdict.compare(summary.notes, notes_of(runs.pairs()), "$.notes")
    proven: set[str] = set()
    for name, where, part in parts:
        if name in unchanged:
            proven |= _again(name, where, part, summary, space, verdict)
    left = [s for s in summary.stamps if s not in proven]
    if left:
        verdict.beyond.append(f"stamps that do not follow from a table and its folds alone: {'; '.join(left)}")


def _inputs(summary: Summary | FewshotSummary, parts: list[tuple[str, str, dict[str, Any]]], verdict: Verdict) -> None:
    """Compare the facts with the inputs in the configuration."""
    found = {str(one.get("dataset")): one for one in summary.config.get("inputs", [])}
    if found:
        verdict.compare([name for name, _, _ in parts], list(found), "$.data, datasets")
    for name, where, part in parts:
        known = {k: v for k, v in found.get(name, {}).items() if k in part and k not in ("stores", "views")}
        verdict.compare({k: part[k] for k in known}, known, where)
        stores = found.get(name, {}).get("stores")
        if stores is not None:
            verdict.compare({n: s["features_sha256"] for n, s in part["stores"].items()}, stores, f"{where}.stores")
        verdict.compare(part["utterances"], sum(part["classes"].values()), f"{where}.utterances")


def _sizes(data: dict[str, Any], runs: Runs, verdict: Verdict) -> None:
    """Compare folds with the runs, whose own sizes are those of their predictions."""
    known = {r.fold: {part: getattr(r.n, part) for part in SIZES} for r in runs.records}
    for k, fold in enumerate(data.get("folds", [])):
        if fold["name"] in known:
            verdict.compare({part: fold[part] for part in SIZES}, known[fold["name"]], f"$.data.folds[{k}]")
        elif runs.whole:
            verdict.add(f"$.data.folds[{k}].name", fold["name"], f"one of {', '.join(known)}")


def _again(
    name: str, where: str, part: dict[str, Any], summary: Summary | FewshotSummary, space: Workspace, verdict: Verdict
) -> set[str]:
    """Make the facts of one corpus again; returns the stamps that follow from them, as the record has them."""
    from ser.audit.split_data import describe_data, split_data, tested_only
    from ser.features.stored_layers import as_used
    from ser.features.tensors import load_labels, load_tensors
    from ser.metadata.folds.fold import FoldOptions

    options = part.get("fold_options", {})
    if options.get("file"):
        verdict.missing.append(f"the folds of {name} are from a file, {options['file']}, which is not in the workspace")
        return set()
    stores, scheme = list(part["stores"]), str(part["scheme"])
    expected: list[str] = []
    try:
        scheme = own_scheme(scheme, space)
        classes = list(part["classes"])
        if stores:
            data = load_tensors(name, space, scheme=scheme, stores=stores, classes=classes, values=False)
            data = as_used(data, part["stores"])
        else:  # of a system whose predictions were imported
            data = load_labels(name, space, scheme=scheme, classes=classes)
        if "protocol" not in part:
            again = describe_data(data, scheme)
        else:
            if part["audit"].get("copies") is None:  # its audio had not been listened to by then
                data = replace(data, table=replace(data.table, copies=None))
            rule, untested = FoldOptions(**options), list(map(str, part.get("untested", ())))
            setup = split_data(data, part["protocol"], rule, part["normalize"], scheme, untested)
            again, alone = setup.facts, "table" in summary.data
            expected = setup.stamps if alone else tested_only(setup.stamps)
    except CorpusError as error:
        verdict.add(where, error.line(), "facts that can be made again")
        return set()
    except SerError as error:
        verdict.missing.append(f"the facts about {name} cannot be made again: {error.line()}")
        return set()
    keys = [k for k in again if k not in FACTS]
    unhashed = {n: {k: v for k, v in s.items() if k != "sha256"} for n, s in part["stores"].items()}
    stored = {k: v for k, v in {**part, "stores": unhashed}.items() if k in keys}
    verdict.compare(stored, {k: again[k] for k in keys}, where)
    return _stamps(name, expected, summary.stamps, verdict)


def _stamps(name: str, expected: list[str], stamps: list[str], verdict: Verdict) -> set[str]:
    """Find each stamp in the record, alone or, where there are several corpora, after the name of its corpus."""
    found = set()
    for stamp in expected:
        verdict.numbers += 1
        own = [s for s in (stamp, f"{name}: {stamp}") if s in stamps]
        if not own:
            verdict.add("$.stamps", "no such stamp", stamp)
        found.update(own)
    return found
