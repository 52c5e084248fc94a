"""Targets, which heads learn: one file for each kind of target. The file's name is the kind's name.

A plugin has `LOSS` and `SELECTION` (a head's own where none is asked for), `SELECTIONS` (the scores that may pick the epoch),
`UNUSED` (options of training that mean nothing to it), `OUTPUT` (`softmax`, `sigmoid`, `value` or `softmax and value`: what is
made of a head's outputs), and `read(table, rule, names, shared)`: the rows that have this target, as `TargetRows` (but for
classes, which `ser.features.tensors` reads); `shared` are the outputs that another corpus has too, or None where there is no
other. Its metrics are in `ser.results.metrics.measures`, and losses say which kinds they learn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ser import registry
from ser.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

KIND = "target"
# What `ser new` copies, and how to see it at work in the workspace of `ser demo`, see `ser.starter`.
COPY = "own_target"
TRY = "ser ./NAME.py --dataset demo-studio && ser fit --dataset demo-studio --target NAME --protocol speaker --folds 4"
NEEDS = ("LOSS", "SELECTION", "SELECTIONS", "UNUSED", "OUTPUT", "read")  # of a plugin from outside, see `ser.outside`
TARGETS = "ser.metadata.targets"
EMOTION, VOTES, LABELS, DIMENSIONS, MIXED = "emotion", "votes", "labels", "dimensions", "mixed"
RATED = (DIMENSIONS, MIXED)  # the kinds with dimensions


@dataclass(frozen=True)
class Target:
    """A target as asked for.

    Attributes:
        kind: the name of a plugin.
        names: of `dimensions` and `mixed`, the columns of the table.
    """

    kind: str = EMOTION
    names: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The target as a user writes it."""
        return ",".join((EMOTION, *self.names) if self.kind == MIXED else self.names) or self.kind


ONE_CLASS = Target()


@dataclass(frozen=True, eq=False)
class TargetRows:
    """The rows of a table that have a target.

    Attributes:
        keep: true for each of these rows of the table, `(all rows,)`.
        outputs: names of a head's outputs, in order; of `mixed` those of the classes.
        values: the target of these rows, `(n, K)`; of `mixed` that of the dimensions; None for classes.
        labels: a class number of each, which folds are stratified by, `(n,)`.
        untested: true for rows that may be trained on and have no label to be tested by, `(n,)`.
        dropped: reason -> number of the rows that are left out.
        stamps: sentences that results must carry.
    """

    keep: "NDArray[np.bool_]"
    outputs: tuple[str, ...]
    values: "NDArray[np.float64] | None"
    labels: "NDArray[np.int64]"
    untested: "NDArray[np.bool_]"
    dropped: dict[str, int] = field(default_factory=dict)
    stamps: list[str] = field(default_factory=list)


def parse_target(text: str | Sequence[str], columns: Sequence[str] = ()) -> Target:
    """Read a target: the name of a kind; dimensions, which are columns of the table; or emotion and dimensions.

    Args:
        columns: the table's columns of ratings; () does not look.

    Raises:
        ConfigError: it is neither.

    >>> parse_target("votes"), parse_target("arousal, valence").names
    (Target(kind='votes', names=()), ('arousal', 'valence'))
    >>> parse_target("emotion,arousal")
    Target(kind='mixed', names=('arousal',))
    """
    words = tuple(w for word in ([text] if isinstance(text, str) else text) for w in (p.strip() for p in word.split(",")) if w)
    if any(registry.names_part(TARGETS, word) for word in words):
        raise ConfigError(
            f"--target {text}: targets are not read from files or modules",
            expected="a kind of target of ser, or columns of ratings",
            action="Make ratings columns (ser metadata --rating NAME:LOW:HIGH); a loss of your own (--loss) learns on them.",
        )
    kinds = [name for name in registry.names(TARGETS) if name not in RATED]
    if len(words) == 1 and words[0] in kinds:
        return Target(words[0])
    kind = MIXED if EMOTION in words else DIMENSIONS
    words = tuple(word for word in words if word != EMOTION)
    mixed = [word for word in words if word in kinds]
    twice = [word for word in words if words.count(word) > 1]
    strange = [word for word in words if columns and word not in columns]
    if not words or mixed or twice or strange:
        wrong = (strange or mixed or twice or [str(text)])[0]
        fault = "is named twice" if twice and not strange else "is not a target here"
        if wrong in kinds:
            fault = "cannot be combined with other targets"
        raise ConfigError(
            f"--target {text if isinstance(text, str) else ','.join(text)}: {wrong!r} {fault}",
            expected=f"{', '.join(kinds)}, or columns of ratings: {', '.join(columns) or 'the table has none'}"
            " (emotion,COLUMN: both)",
        )
    return Target(kind, words)


def has_classes(text: str | None) -> bool:
    """True for a target, as a record has it, in which a label scheme has a part: all but dimensions alone. None: one class.

    >>> has_classes(None), has_classes("votes"), has_classes("emotion,arousal"), has_classes("arousal,valence")
    (True, True, True, False)
    """
    return (text or EMOTION).split(",")[0] in registry.names(TARGETS)


def in_words(kind: str) -> str:
    """A kind of target as messages name it.

    >>> in_words("votes"), in_words("mixed")
    ('votes', 'a class and dimensions together')
    """
    return "a class and dimensions together" if kind == MIXED else kind


def plugin(kind: str) -> Any:
    """The module of a kind of target."""
    return registry.load(TARGETS, kind)


def left_out(frame: "pd.DataFrame", keep: "NDArray[np.bool_]", reason: str) -> dict[str, int]:
    """The count of rows that are not kept, under a reason; {} where all are."""
    count = int((~keep).sum())
    return {reason: count} if count else {}
