"""Protocols: the rules by which utterances are put into training, validation and test.

A protocol is a pure function from the rows in use to folds of row positions. `DISJOINT` says what it promises not to share
between training (with validation) and test; `ser.audit.sharing` checks the promise on the rows.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import ConfigError, CorpusError, SerError
from ser.metadata.corpus import corpus
from ser.metadata.folds.fold import Fold, FoldOptions, Rows, all_but, divide, enough, hold_out, leave_out, next_as_validation
from ser.metadata.folds.fold_file import read_folds
from ser.metadata.table import Table
from ser.registry import unknown

Maker = Callable[[Table, pd.DataFrame, "NDArray[np.int64]", FoldOptions], list[Fold]]


def _official(table: Table, frame: pd.DataFrame, labels: Rows, options: FoldOptions) -> list[Fold]:
    split = frame["split"].to_numpy()
    _require(table, "official", bool((split == "train").any() and (split == "test").any()), "an official split")
    train, validation, test = (np.flatnonzero(split == part) for part in ("train", "validation", "test"))
    if len(validation):
        return [Fold("official", train, validation, test, "split")]
    return [hold_out(Fold("official", train, validation, test), frame, labels, options)]


def _session(table: Table, frame: pd.DataFrame, labels: Rows, options: FoldOptions) -> list[Fold]:
    values = frame["session"].to_numpy()
    fits = len(set(values) - {""}) >= 3 and "" not in values
    _require(table, "session", fits, "three or more sessions, known for every row")
    divided = divide(values, labels, options, "sessions")
    if options.validation in ("speaker", "utterance"):
        return [hold_out(fold, frame, labels, options) for fold in all_but(values, divided)]
    return next_as_validation(values, divided, "session")


def _speaker(table: Table, frame: pd.DataFrame, labels: Rows, options: FoldOptions) -> list[Fold]:
    values = frame["speaker"].to_numpy()
    fits = len(set(values) - {""}) >= 3 and "" not in values
    _require(table, "speaker", fits, "three or more speakers, known for every row")
    divided = divide(values, labels, options, "speakers")
    return [hold_out(fold, frame, labels, options) for fold in all_but(values, divided)]


def _emobox(table: Table, frame: pd.DataFrame, labels: Rows, options: FoldOptions) -> list[Fold]:
    file = options.file or table.folds_file
    if file is not None:
        return _from(file, frame, labels, options)
    plugin = table.facts.get("corpus")
    groups = getattr(corpus(plugin), "EMOBOX_FOLDS", None) if plugin else None
    _require(table, "emobox", groups is not None, "published folds in its plugin, or --fold-file CSV")
    assert groups is not None
    speaker = frame["speaker"].to_numpy()
    tests = {str(k): np.isin(speaker, [str(s) for s in g]) for k, g in enumerate(groups, start=1)}
    missing = ~np.logical_or.reduce(list(tests.values()))
    _require(table, "emobox", not missing.any(), "speakers of the release only")
    return [hold_out(leave_out(n, m), frame, labels, options) for n, m in tests.items() if m.any()]


def _file(table: Table, frame: pd.DataFrame, labels: Rows, options: FoldOptions) -> list[Fold]:
    if options.file is None:
        raise ConfigError("protocol file takes its folds from a file", expected="--fold-file FILE.csv")
    return _from(options.file, frame, labels, options)


def _from(file: Path, frame: pd.DataFrame, labels: Rows, options: FoldOptions) -> list[Fold]:
    """Folds of a file; where one has no validation part, one is taken out of training."""
    folds = read_folds(file, frame)
    return [fold if len(fold.validation) else hold_out(fold, frame, labels, options) for fold in folds]


def _seed1(table: Table, frame: pd.DataFrame, labels: Rows, options: FoldOptions) -> list[Fold]:
    values = frame["session"].to_numpy()
    sessions = sorted(set(values) - {""})
    if len(sessions) == 5 and "" not in values:
        train, validation, test = (np.flatnonzero(np.isin(values, s)) for s in (sessions[:3], sessions[3:4], sessions[4:]))
        return [Fold("seed1", train, validation, test, "session")]
    values = frame["speaker"].to_numpy()
    speakers = np.array(sorted(set(values)), dtype=object)
    _require(table, "seed1", len(speakers) >= 5 and "" not in values, "five sessions, or five or more speakers")
    order = np.random.default_rng(options.seed).permutation(speakers)
    tenth = max(1, round(len(order) / 10))
    parts = (order[2 * tenth :], order[tenth : 2 * tenth], order[:tenth])
    train, validation, test = (np.flatnonzero(np.isin(values, list(p))) for p in parts)
    return [Fold("seed1", train, validation, test, "speaker")]


def _random(table: Table, frame: pd.DataFrame, labels: Rows, options: FoldOptions) -> list[Fold]:
    number = options.folds or 10  # one split of 80/10/10 by default
    if options.folds is None:
        _require(table, "random", len(frame) >= number, f"{number} utterances or more, or --folds K with fewer parts")
    enough(number, len(frame), "utterances")
    rng = np.random.default_rng(options.seed)
    part = np.empty(len(frame), dtype=np.int64)
    start = 0
    for label in np.unique(labels):  # in turn, class after class: stratified, and parts of equal size
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
    "file": _file,
}
# What a protocol promises not to share between training and test.
DISJOINT: dict[str, tuple[str, ...]] = {
    "official": (),
    "session": ("session",),
    "speaker": ("speaker",),
    "emobox": (),
    "seed1": ("speaker",),
    "random": (),
    "file": (),
}
COUNTED = ("session", "speaker", "random")  # --folds says how many
STRATIFIED = ("session", "speaker")  # random always is


class _Unfit(CorpusError):
    """A table lacks what a protocol needs."""


def _require(table: Table, protocol: str, fits: bool, what: str) -> None:
    if not fits:
        raise _Unfit(f"{table.dataset}: protocol {protocol} does not fit", expected=what)


def _fitting(table: Table, frame: pd.DataFrame, labels: Rows) -> Iterator[str]:
    """The protocols that make folds of these rows, without options; `file` needs one."""
    for name, made in PROTOCOLS.items():
        with suppress(SerError):
            made(table, frame, labels, FoldOptions())
            yield name
    yield "file with --fold-file FILE.csv"


def default_protocol(table: Table, options: FoldOptions | None = None) -> str:
    """Choose the protocol where none is named: a fold file's if one is given, else official, session, speaker or random."""
    if options is not None and options.file is not None:
        return "file"
    if {"train", "test"} <= set(table.frame["split"]):
        return "official"
    for group in ("session", "speaker"):
        values = set(table.frame[group])
        if len(values) >= 3 and "" not in values:
            return group
    return "random"


def why_random(table: Table) -> str:
    """The reason why the default protocol is random although some speakers are known; "" where none is."""
    speaker = table.frame["speaker"]
    without = int((speaker == "").sum())
    if without == len(speaker):
        return ""
    if without:
        first = table.frame["utterance_id"][speaker == ""].iloc[0]
        return f"{without} of {len(speaker)} utterances have no speaker, {first} first"
    return f"there are {speaker.nunique()} speakers, and protocol speaker needs three"


def make_folds(name: str, table: Table, frame: pd.DataFrame, labels: Rows, options: FoldOptions | None = None) -> list[Fold]:
    """Make the folds of a protocol over the rows in use.

    Args:
        name: a name of `PROTOCOLS`.
        table: its facts (published folds) and name are used.
        frame: the rows in use, `(n, columns)`.
        labels: class number of each row, `(n,)`; only for stratification.

    Raises:
        ConfigError: unknown protocol, or one that does not use an option given.
        CorpusError: the rows lack what the protocol needs, or a part of a fold would be empty.
    """
    if name not in PROTOCOLS:
        raise unknown("protocol", name, list(PROTOCOLS))
    options = options or FoldOptions()
    _refuse_useless(name, options)
    try:
        folds = PROTOCOLS[name](table, frame, labels, options)
    except _Unfit as error:
        others = f"Choose another --protocol: {', '.join(_fitting(table, frame, labels))}."
        raise CorpusError(error.problem, expected=error.expected, action=others) from None
    for fold in folds:
        for part, rows in fold.parts().items():
            if not len(rows):
                raise CorpusError(
                    f"{table.dataset}: protocol {name}, fold {fold.name}: the {part} part is empty",
                    action="Take another protocol, or a scheme that keeps more utterances.",
                )
    return folds


def _refuse_useless(name: str, options: FoldOptions) -> None:
    """Refuse an option that would change nothing: it was misunderstood."""
    for option, given, fitting in (
        ("--folds", options.folds is not None, COUNTED),
        ("--stratified", options.stratified, STRATIFIED),
        ("--fold-file", options.file is not None, ("file", "emobox")),
    ):
        if given and name not in fitting:
            raise ConfigError(
                f"protocol {name} does not use {option}",
                expected=f"--protocol {' or '.join(fitting)}",
                option=option.lstrip("-").replace("-", "_"),
            )


def train_and_validation(frame: pd.DataFrame, labels: Rows, options: FoldOptions) -> tuple[Rows, Rows]:
    """Divide all rows into training and validation, by whole speakers where there are three or more."""
    fold = hold_out(leave_out("all", np.zeros(len(frame), dtype=bool)), frame, labels, options)
    return fold.train, fold.validation
