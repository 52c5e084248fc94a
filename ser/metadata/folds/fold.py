"""A fold, the options of a protocol, and whole groups (speakers, sessions) divided among folds and held out for validation."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import ConfigError, CorpusError

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


# Of the training groups (speakers), or of the training utterances where groups cannot be held apart.
VALIDATION_SHARE = 0.15
Groups = NDArray[np.object_]


def divide(values: Groups, labels: Rows, options: FoldOptions, what: str) -> dict[str, Groups]:
    """Choose the test groups of each fold: one group each, or several where `--folds K` is given.

    Args:
        values: group of each row, `(n,)`.
        labels: class number of each row, `(n,)`; used where `options.stratified`.
        what: the name of the groups in an error: `speakers`.

    Raises:
        ConfigError: more folds than groups, or stratified folds without a number of them.
    """
    groups = np.array(sorted(set(values)), dtype=object)
    if options.folds is None:
        if options.stratified:
            raise ConfigError("--stratified without --folds: leave-one-out has no choice to make", action="Add --folds K.")
        return {str(g): np.array([g], dtype=object) for g in groups}
    enough(options.folds, len(groups), what)
    if options.stratified:
        parts = _stratified(values, labels, options.folds, options.seed)
        return {str(k): np.array(sorted(set(values[rows])), dtype=object) for k, rows in enumerate(parts)}
    shuffled = np.random.default_rng(options.seed).permutation(groups)
    return {str(k): shuffled[k :: options.folds] for k in range(options.folds)}


def _stratified(values: Groups, labels: Rows, folds: int, seed: int) -> list[Rows]:
    """Rows of each part, whole groups together, classes spread evenly: scikit-learn's StratifiedGroupKFold.

    The groups are shuffled here as scikit-learn 1.8 does it: before 1.8 `shuffle=True` mixed up which group has which classes.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups, number = np.unique(values, return_inverse=True)
    order = np.arange(len(groups))
    np.random.RandomState(seed).shuffle(order)
    splitter = StratifiedGroupKFold(folds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer utterances than folds: the audit says so
        try:
            return [test for _, test in splitter.split(np.zeros(len(values)), labels, np.argsort(order)[number])]
        except ValueError as error:
            raise ConfigError(f"--stratified with {folds} folds", found=error, action="Take fewer --folds.") from None


def hold_out(fold: Fold, frame: pd.DataFrame, labels: Rows, options: FoldOptions) -> Fold:
    """Take the validation part out of training: whole speakers where training has three or more, else utterances.

    Where no speaker is known it takes whole dialogues: turns of one dialogue are like one another.

    Raises:
        CorpusError: validation by a group of which training has fewer than three.
    """
    by = _apart(frame, fold) if options.validation == "auto" else options.validation
    values = frame[by].to_numpy()[fold.train] if by != "utterance" else np.array([])
    groups = np.array(sorted(set(values)), dtype=object)
    rng = np.random.default_rng([options.seed, int.from_bytes(fold.name.encode()[-6:], "little")])
    if by != "utterance" and len(groups) >= 3 and "" not in groups:
        out = np.isin(values, list(_chosen(values, groups, labels[fold.train], rng, options.stratified)))
        kind = by
    elif by == "utterance":
        out = np.zeros(len(fold.train), dtype=bool)
        for label in np.unique(labels[fold.train]):
            rows = rng.permutation(np.flatnonzero(labels[fold.train] == label))
            out[rows[: max(1, round(VALIDATION_SHARE * len(rows)))] if len(rows) > 1 else rows[:0]] = True
        if not out.any() and len(out) > 1:  # one utterance per class: validation gets one nevertheless
            out[rng.integers(len(out))] = True
        kind = "utterance"
    else:
        raise CorpusError(f"validation by {by}: the training part has {len(groups)}", expected="three or more, all known")
    return replace(fold, train=fold.train[~out], validation=fold.train[out], validation_by=kind, carved=True)


def _apart(frame: pd.DataFrame, fold: Fold) -> str:
    """Name the groups that can be held apart: speakers, or dialogues where no speaker is known; else utterances.

    Groups that the test part has too cannot: they would be in validation and in test.
    """
    for column in ("speaker", "dialogue"):
        if column in frame and (frame[column] != "").any():
            values = frame[column].to_numpy()
            train = set(values[fold.train])
            return column if len(train) >= 3 and "" not in train and not train & set(values[fold.test]) else "utterance"
    return "utterance"


def _chosen(values: Groups, groups: Groups, labels: Rows, rng: np.random.Generator, stratified: bool) -> Groups:
    """Choose the groups that validation takes: at random, or where stratified so that its classes are as training's."""
    if not stratified:
        drawn: Groups = rng.permutation(groups)[: max(1, round(VALIDATION_SHARE * len(groups)))]
        return drawn
    parts = min(round(1 / VALIDATION_SHARE), len(groups), int(np.bincount(labels).max()))
    rows = next(r for r in _stratified(values, labels, max(2, parts), int(rng.integers(2**31))) if len(r))
    return np.array(sorted(set(values[rows])), dtype=object)


def all_but(values: Groups, divided: dict[str, Groups]) -> list[Fold]:
    """Make a fold for each of the divided groups, which are its test part; without validation."""
    return [leave_out(name, np.isin(values, list(groups))) for name, groups in divided.items()]


def next_as_validation(values: Groups, divided: dict[str, Groups], by: str) -> list[Fold]:
    """Make folds as `all_but`, with the next fold's test groups as validation: the three parts share no group."""
    names = list(divided)
    folds = []
    for number, name in enumerate(names):
        test, other = list(divided[name]), list(divided[names[(number + 1) % len(names)]])
        train = np.flatnonzero(~np.isin(values, [*test, *other]))
        folds.append(Fold(name, train, np.flatnonzero(np.isin(values, other)), np.flatnonzero(np.isin(values, test)), by))
    return folds
