"""A fold, and the options of a protocol."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError

Rows = NDArray[np.int64]
PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Fold:
    """Row positions of one fold.

    Attributes:
        name: the test session, the test speaker, or a number.
        train, validation, test: positions in the frame that the protocol was given; disjoint.
        validation_by: the unit of validation: `speaker`, `session`, `split`, `utterance`, or `file` where it came
            from a file that does not say.
        carved: validation was taken out of what the protocol gives to training (else it is a part of its own).
        unlabelled: rows of a target corpus whose features training may use, never their labels; None without adaptation.
        oracle: rows of the target whose labels the model selection of that name may read, and no other.
        before: the fold that is trained first, whose weights are the start here (fine-tuning).
        stream: name of the random streams. Folds that share it and have no unlabelled rows are trained once, and tested
            each; empty: the fold's name.
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

    def parts(self) -> dict[str, Rows]:
        """Part -> row positions."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True)
class FoldOptions:
    """Options of a protocol.

    Attributes:
        folds: number of folds; None is one for each group (leave one out), or a single split.
        seed: of the shuffles. The same for all runs, so that runs differ by training alone.
        file: CSV with columns `fold` and `utterance_id`, for `file` and `emobox`; see `ser.metadata.folds.fold_file`.
        validation: `auto`, or the groups that validation takes whole from training: `speaker`, `session`, `dialogue`,
            `utterance`.
        stratified: divide whole groups among the folds so that each has about the same share of every class.
    """

    folds: int | None = None
    seed: int = 0
    file: Path | None = None
    validation: str = "auto"
    stratified: bool = False


def leave_out(name: str, test: NDArray[Any]) -> Fold:
    """Make a fold of the mask of its test part; all other rows are training."""
    nothing = np.empty(0, dtype=np.int64)
    return Fold(name, np.flatnonzero(~test), nothing, np.flatnonzero(test))


def enough(folds: int, groups: int, what: str) -> None:
    """Refuse a number of folds for which there are too few groups.

    Raises:
        ConfigError: fewer than three, or more than groups.
    """
    if not 3 <= folds <= groups:
        raise ConfigError(f"--folds {folds}", expected=f"3 to {groups} (there are {groups} {what})")
