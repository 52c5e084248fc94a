"""Protocols: who is in train, validation and test.

A protocol is a pure function from the rows in use to folds of row positions (`ser.metadata.protocols`). `DISJOINT` says what
it promises not to share between training (with validation) and test; `ser.audit.sharing` checks the promise on the rows.
"""

import numpy as np
import pandas as pd

from ser.errors import ConfigError, CorpusError
from ser.metadata import groups
from ser.metadata.folds import Fold, Options, Rows, leave_out
from ser.metadata.protocols import COUNTED, DISJOINT, PROTOCOLS, STRATIFIED
from ser.metadata.table import Table
from ser.registry import unknown

__all__ = ["DISJOINT", "PROTOCOLS", "Fold", "Options", "Rows", "default_protocol", "hold_out", "make_folds"]


def default_protocol(table: Table, options: Options | None = None) -> str:
    """The protocol taken when none is named: that of the fold file if one is given, else official, session, speaker, random."""
    if options is not None and options.file is not None:
        return "file"
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
        ConfigError: unknown protocol, or one that has no use for an option given.
        CorpusError: the rows lack what the protocol needs, or a part of a fold would be empty.
    """
    if name not in PROTOCOLS:
        raise unknown("protocol", name, list(PROTOCOLS))
    options = options or Options()
    _refuse_useless(name, options)
    folds = PROTOCOLS[name](table, frame, labels, options)
    for fold in folds:
        for part, rows in fold.parts().items():
            if not len(rows):
                raise CorpusError(
                    f"{table.dataset}: protocol {name}, fold {fold.name}: the {part} part is empty",
                    action="Take another protocol, or a scheme that keeps more utterances.",
                )
    return folds


def _refuse_useless(name: str, options: Options) -> None:
    """An option that would change nothing is a misunderstanding."""
    for option, given, fitting in (
        ("--folds", options.folds is not None, COUNTED),
        ("--stratified", options.stratified, STRATIFIED),
        ("--fold-file", options.file is not None, ("file", "emobox")),
    ):
        if given and name not in fitting:
            raise ConfigError(f"protocol {name} has no use for {option}", expected=f"--protocol {' or '.join(fitting)}")


def hold_out(frame: pd.DataFrame, labels: Rows, options: Options) -> tuple[Rows, Rows]:
    """All rows in two parts, training and validation: by whole speakers where there are three or more."""
    fold = groups.hold_out(leave_out("all", np.zeros(len(frame), dtype=bool)), frame, labels, options)
    return fold.train, fold.validation
