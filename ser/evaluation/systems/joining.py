"""Answers of a system joined with the folds of a protocol, by id."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ser.errors import CorpusError
from ser.evaluation.systems.answers import Answers
from ser.features.tensors import Tensors
from ser.metadata.folds.fold import Fold
from ser.metadata.parsing import few
from ser.metadata.words_in_cells import as_written

Place = tuple[int, int, str]  # run, number of the fold, part


@dataclass(eq=False)
class Joined:
    """The answers that are used.

    Attributes:
        runs: their numbers.
        validated: true if there are answers for the validation parts.
        rows: of each run, fold and part (`test`, `validation`), position of an utterance in the data -> row of the answers.
        unused: reason -> number of answers that are not used.
    """

    runs: list[int]
    validated: bool
    rows: dict[Place, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    unused: Counter[str] = field(default_factory=Counter)


def join(answers: Answers, data: Tensors, folds: Sequence[Fold], where: str) -> Joined:
    """Find the fold and the part that each answer is for.

    An answer without fold is for the folds that test the utterance, or validate it, where the file says so. Answers for
    training utterances, and for utterances that the label scheme leaves out, are not used.

    Raises:
        CorpusError: the table has no such utterance, a fold is unknown or does not have it in that part, or a run has two
            answers for one utterance.
    """
    every, position = set(data.table.ids), {name: k for k, name in enumerate(data.frame["utterance_id"])}
    strange = [name for name in dict.fromkeys(answers.ids) if name not in every]
    if strange:
        raise CorpusError(
            f"{where}: the table of {data.dataset} has no utterance {strange[0]!r}",
            expected=f"ids such as {data.table.ids[0]!r}",
            found=f"{len(strange)} that it does not have: {few(map(repr, strange), 3)}",
            action="Is it the dataset of these predictions, and --id the column of their ids?",
        )
    names = [fold.name for fold in folds]
    stated = answers.folds if {*answers.folds} <= {*names, ""} else as_written(answers.folds)
    member: dict[str, dict[int, list[int]]] = {"test": defaultdict(list), "validation": defaultdict(list)}
    for number, fold in enumerate(folds):
        for part, of in member.items():
            for k in fold.parts()[part].tolist():
                of[k].append(number)
    found = Joined(sorted(set(answers.runs)), answers.of_every_part or "validation" in answers.splits)
    for row, utterance in enumerate(answers.ids):
        if answers.of_every_part:
            for part, of in member.items():
                for number in of[position[utterance]]:
                    found.rows[0, number, part][position[utterance]] = row
            continue
        split, fold_name = answers.splits[row] or "test", stated[row]
        if fold_name and fold_name not in names:
            raise CorpusError(f"{where}: fold {fold_name!r} of {utterance}", expected=f"one of {', '.join(names)}")
        if split == "train" or utterance not in position:
            found.unused["of training" if split == "train" else "of utterances that the scheme leaves out"] += 1
            continue
        k = position[utterance]
        places = [n for n in member[split][k] if not fold_name or names[n] == fold_name]
        if not places and not fold_name and not answers.splits[row]:
            found.unused["of utterances that are in no test part"] += 1
            continue
        if not places:
            raise CorpusError(
                f"{where}: {utterance} is not in the {split} part" + (f" of fold {fold_name}" if fold_name else ""),
                expected=f"the folds of this protocol ({few(names)})",
                action="Choose the --protocol of these predictions, or leave out their columns fold and split.",
            )
        for number in places:
            placed = found.rows[answers.runs[row], number, split]
            if k in placed:
                raise CorpusError(
                    f"{where}: {utterance} is predicted twice (run {answers.runs[row]}, fold {names[number]}, {split})",
                    expected="one prediction in each run; several models in a column run",
                )
            placed[k] = row
    return found


def lacking(joined: Joined, folds: Sequence[Fold], shares: NDArray[np.float64]) -> dict[Place, list[int]]:
    """The utterances without an answer that counts (its shares are NaN), by run, fold and part, where there are any."""
    parts = ("test", "validation") if joined.validated else ("test",)
    none: NDArray[np.bool_] = np.asarray(np.isnan(shares).any(axis=1))
    found: dict[Place, list[int]] = {}
    for run in joined.runs:
        for number, fold in enumerate(folds):
            for part in parts:
                rows = joined.rows.get((run, number, part), {})
                missing = [k for k in fold.parts()[part].tolist() if k not in rows or none[rows[k]]]
                if missing:
                    found[run, number, part] = missing
    return found
