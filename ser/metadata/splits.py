"""Protocols: who is in train, validation and test.

A protocol is a pure function from the rows in use to folds of row positions. `DISJOINT` says what it promises not to
share between training (with validation) and test; `ser.metadata.audit` checks the promise on the rows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import ConfigError, CorpusError
from ser.metadata.foldfile import Published, read_folds
from ser.metadata.table import Table, corpus
from ser.registry import unknown

Rows = NDArray[np.int64]
# Of the training groups (speakers), or of the training utterances where groups cannot be held apart.
VALIDATION_SHARE = 0.15


@dataclass(frozen=True, eq=False)
class Fold:
    """Row positions of one fold.

    Attributes:
        name: which fold: the test session, the test speaker, or a number.
        train, validation, test: positions in the frame that the protocol was given; disjoint.
        validation_by: what validation was taken by: `speaker`, `session`, `split` or `utterance`.
        carved: whether validation was taken out of what the protocol gives to training (else it is a part of its own).
        unlabelled: rows of a target corpus whose features training may use, never their labels; None without adaptation.
        oracle: rows of the target whose labels the model selection of that name may read, and no other.
        before: what is trained on first, its weights being the start here (fine-tuning).
        stream: name of the random streams. Folds that are trained alike and share it are trained once, and tested each;
            empty: the fold's name.
    """

    name: str
    train: Rows
    validation: Rows
    test: Rows
    validation_by: str = "utterance"
    carved: bool = False
    unlabelled: Rows | None = None
    oracle: Rows | None = None
    before: "Fold | None" = None
    stream: str = ""


@dataclass(frozen=True)
class Options:
    """Choices within a protocol.

    Attributes:
        folds: number of folds; None is one a group (leave one out), or a single split.
        seed: of the shuffles. The same for all runs, so that runs differ by training alone.
        file: CSV with columns `fold` and `utterance_id` (test fold of each), for `emobox`.
        validation: `auto`, or `speaker`, `session`, `utterance`: what whole groups validation takes from training.
    """

    folds: int | None = None
    seed: int = 0
    file: Path | None = None
    validation: str = "auto"


Maker = Callable[[Table, pd.DataFrame, "NDArray[np.int64]", Options], list[Fold]]


def _official(table: Table, frame: pd.DataFrame, labels: Rows, options: Options) -> list[Fold]:
    split = frame["split"].to_numpy()
    _require(table, "official", bool((split == "train").any() and (split == "test").any()), "an official split")
    train, validation, test = (np.flatnonzero(split == part) for part in ("train", "validation", "test"))
    if len(validation):
        return [Fold("official", train, validation, test, "split")]
    return [_hold_out(Fold("official", train, validation, test), frame, labels, options)]


def _session(table: Table, frame: pd.DataFrame, labels: Rows, options: Options) -> list[Fold]:
    values = frame["session"].to_numpy()
    sessions = sorted(set(values) - {""})
    _require(table, "session", len(sessions) >= 3 and "" not in values, "three or more sessions, known for every row")
    if options.validation in ("speaker", "utterance"):
        return [_hold_out(_leave_out(s, values == s), frame, labels, options) for s in sessions]
    folds = []
    for number, session in enumerate(sessions):
        other = sessions[(number + 1) % len(sessions)]
        parts = (np.flatnonzero(~np.isin(values, [session, other])), np.flatnonzero(values == other))
        folds.append(Fold(session, *parts, np.flatnonzero(values == session), "session"))
    return folds


def _speaker(table: Table, frame: pd.DataFrame, labels: Rows, options: Options) -> list[Fold]:
    values = frame["speaker"].to_numpy()
    speakers = sorted(set(values) - {""})
    _require(table, "speaker", len(speakers) >= 3 and "" not in values, "three or more speakers, known for every row")
    if options.folds is None:
        groups = {s: [s] for s in speakers}
    else:
        _enough(options.folds, len(speakers), "speakers")
        shuffled = np.random.default_rng(options.seed).permutation(np.array(speakers, dtype=object))
        groups = {str(k): list(shuffled[k :: options.folds]) for k in range(options.folds)}
    return [_hold_out(_leave_out(n, np.isin(values, g)), frame, labels, options) for n, g in groups.items()]


def _emobox(table: Table, frame: pd.DataFrame, labels: Rows, options: Options) -> list[Fold]:
    file = options.file or table.folds_file
    if file is not None:
        published = read_folds(file, list(frame["utterance_id"]))
        return [_published(name, fold, frame, labels, options) for name, fold in published.items() if fold.test.any()]
    known = table.facts.get("corpus")
    groups = getattr(corpus(known), "EMOBOX_FOLDS", None) if known else None
    _require(table, "emobox", groups is not None, "published folds, or --fold-file CSV")
    assert groups is not None
    speaker = frame["speaker"].to_numpy()
    tests = {str(k): np.isin(speaker, [str(s) for s in g]) for k, g in enumerate(groups, start=1)}
    missing = ~np.logical_or.reduce(list(tests.values()))
    _require(table, "emobox", not missing.any(), "speakers of the release only")
    return [_hold_out(_leave_out(n, m), frame, labels, options) for n, m in tests.items() if m.any()]


def _seed1(table: Table, frame: pd.DataFrame, labels: Rows, options: Options) -> list[Fold]:
    values = frame["session"].to_numpy()
    sessions = sorted(set(values) - {""})
    if len(sessions) == 5 and "" not in values:
        train, validation, test = (
            np.flatnonzero(np.isin(values, s)) for s in (sessions[:3], sessions[3:4], sessions[4:])
        )
        return [Fold("seed1", train, validation, test, "session")]
    values = frame["speaker"].to_numpy()
    speakers = np.array(sorted(set(values)), dtype=object)
    _require(table, "seed1", len(speakers) >= 5 and "" not in values, "five sessions, or five or more speakers")
    order = np.random.default_rng(options.seed).permutation(speakers)
    tenth = max(1, round(len(order) / 10))
    parts = (order[2 * tenth :], order[tenth : 2 * tenth], order[:tenth])
    train, validation, test = (np.flatnonzero(np.isin(values, list(p))) for p in parts)
    return [Fold("seed1", train, validation, test, "speaker")]


def _random(table: Table, frame: pd.DataFrame, labels: Rows, options: Options) -> list[Fold]:
    number = options.folds or 10  # one split of 80/10/10 by default
    _enough(number, len(frame), "utterances")
    rng = np.random.default_rng(options.seed)
    part = np.empty(len(frame), dtype=np.int64)
    start = 0
    for label in np.unique(labels):  # dealt out in turn, class after class: stratified, and parts of equal size
        rows = rng.permutation(np.flatnonzero(labels == label))
        part[rows] = (start + np.arange(len(rows))) % number
        start += len(rows)
    folds = []
    for k in range(number if options.folds else 1):
        other = (k + 1) % number
        train = np.flatnonzero(~np.isin(part, [k, other]))
        folds.append(Fold(str(k), train, np.flatnonzero(part == other), np.flatnonzero(part == k), "utterance"))
    return folds


PROTOCOLS: dict[str, Maker] = {
    "official": _official,
    "session": _session,
    "speaker": _speaker,
    "emobox": _emobox,
    "seed1": _seed1,
    "random": _random,
}
# What a protocol promises not to share between training and test.
DISJOINT: dict[str, tuple[str, ...]] = {
    "official": (),
    "session": ("session",),
    "speaker": ("speaker",),
    "emobox": (),
    "seed1": ("speaker",),
    "random": (),
}


def default_protocol(table: Table) -> str:
    """The protocol taken when none is named: official, else session, else speaker, else random."""
    if {"train", "test"} <= set(table.frame["split"]):
        return "official"
    if table.has("session") and table.frame["session"].nunique() >= 3:
        return "session"
    if table.has("speaker") and table.frame["speaker"].nunique() >= 3 and not (table.frame["speaker"] == "").any():
        return "speaker"
    return "random"


def make_folds(
    name: str, table: Table, frame: pd.DataFrame, labels: Rows, options: Options | None = None
) -> list[Fold]:
    """The folds of a protocol over the rows in use.

    Args:
        name: a name of `PROTOCOLS`.
        table: whose facts (published folds) and name are used.
        frame: the rows in use, `(n, columns)`.
        labels: class number of each row, `(n,)`; only for stratification.

    Raises:
        ConfigError: unknown protocol.
        CorpusError: the rows lack what the protocol needs, or a part of a fold would be empty.
    """
    if name not in PROTOCOLS:
        raise unknown("protocol", name, list(PROTOCOLS))
    folds = PROTOCOLS[name](table, frame, labels, options or Options())
    for fold in folds:
        for part in ("train", "validation", "test"):
            if not len(getattr(fold, part)):
                raise CorpusError(
                    f"{table.dataset}: protocol {name}, fold {fold.name}: the {part} part is empty",
                    action="Take another protocol, or a scheme that keeps more utterances.",
                )
    return folds


def hold_out(frame: pd.DataFrame, labels: Rows, options: Options) -> tuple[Rows, Rows]:
    """All rows in two parts, training and validation: by whole speakers where there are three or more."""
    fold = _hold_out(_leave_out("all", np.zeros(len(frame), dtype=bool)), frame, labels, options)
    return fold.train, fold.validation


def _leave_out(name: str, test: NDArray[Any]) -> Fold:
    nothing = np.empty(0, dtype=np.int64)
    return Fold(name, np.flatnonzero(~test), nothing, np.flatnonzero(test))


def _hold_out(fold: Fold, frame: pd.DataFrame, labels: Rows, options: Options) -> Fold:
    """Take the validation part out of training: whole speakers where training has three or more, else utterances."""
    by = options.validation
    speakers = frame["speaker"].to_numpy()
    if by == "auto" and set(speakers[fold.train]) & set(speakers[fold.test]):
        by = "utterance"  # whole speakers would be in validation and in test
    values = frame["speaker" if by == "auto" else by].to_numpy()[fold.train] if by != "utterance" else np.array([])
    groups = np.array(sorted(set(values)), dtype=object)
    rng = np.random.default_rng([options.seed, _number(fold.name)])
    if by != "utterance" and len(groups) >= 3 and "" not in groups:
        chosen = rng.permutation(groups)[: max(1, round(VALIDATION_SHARE * len(groups)))]
        out = np.isin(values, list(chosen))
        kind = "speaker" if by == "auto" else by
    elif by in ("auto", "utterance"):
        out = np.zeros(len(fold.train), dtype=bool)
        for label in np.unique(labels[fold.train]):
            rows = rng.permutation(np.flatnonzero(labels[fold.train] == label))
            out[rows[: max(1, round(VALIDATION_SHARE * len(rows)))] if len(rows) > 1 else rows[:0]] = True
        if not out.any() and len(out) > 1:  # one utterance a class: validation gets one all the same
            out[rng.integers(len(out))] = True
        kind = "utterance"
    else:
        raise CorpusError(
            f"validation by {by}: the training part has {len(groups)}", expected="three or more, all known"
        )
    return replace(fold, train=fold.train[~out], validation=fold.train[out], validation_by=kind, carved=True)


def _number(name: str) -> int:
    return int.from_bytes(name.encode()[-6:], "little")


def _published(name: str, fold: Published, frame: pd.DataFrame, labels: Rows, options: Options) -> Fold:
    """A fold as published; where it has no validation part, one is taken out of training."""
    train, validation, test = (np.flatnonzero(m) for m in (fold.train, fold.validation, fold.test))
    if len(validation):
        return Fold(name, train, validation, test, "split")
    return _hold_out(Fold(name, train, validation, test), frame, labels, options)


def _require(table: Table, protocol: str, fits: bool, what: str) -> None:
    if not fits:
        others = [p for p in PROTOCOLS if p != protocol]
        raise CorpusError(
            f"{table.dataset}: protocol {protocol} does not fit",
            expected=what,
            action=f"Choose another --protocol: {', '.join(others)}.",
        )


def _enough(folds: int, groups: int, what: str) -> None:
    if not 3 <= folds <= groups:
        raise ConfigError(f"--folds {folds}", expected=f"3 to {groups} (there are {groups} {what})")
