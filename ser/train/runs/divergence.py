"""Runs that diverge: one leaves its stack, the others go on, and the experiment ends with one error that names all of them.

A run whose loss, weights, scores or probabilities are not finite has no result. Nor has the experiment: leaving out the seeds
that diverged would flatter the mean over the others.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ser.errors import SerError, TrainingError
from ser.metadata.folds.fold import Fold
from ser.train.loop.data import Trained, not_finite

Parts = list[list[Trained]]


def strange(*probabilities: NDArray[np.float64]) -> TrainingError | None:
    """The error of a run with predicted probabilities that are not finite; None for one without."""
    return None if all(np.isfinite(p).all() for p in probabilities) else not_finite("predicted probabilities are")


def located(error: SerError, *where: str) -> TrainingError:
    """The same error with its place: the run, the fold and the like."""
    problem = f"{error.problem} ({', '.join(where)})"
    kind = type(error) if isinstance(error, TrainingError) else TrainingError
    return kind(problem, expected=error.expected, found=error.found, action=error.action, option=error.option)


def folds_named(folds: Sequence[Fold]) -> str:
    return f"fold {', '.join(f.name for f in folds)}"


def apart(runs: Sequence[int], where: str, *stages: Parts) -> tuple[list[SerError], list[int], list[Parts]]:
    """The errors of the runs that diverged; the numbers of the others, and their outcomes.

    Args:
        runs: numbers of the runs of a stack.
        where: the folds, for the errors.
        stages: trainings of these runs one after another, each a list of parts with one outcome per run.
    """
    errors: list[SerError] = []
    slots = []
    for slot, run in enumerate(runs):
        found = [part[slot].error for parts in stages for part in parts]
        error = next((e for e in found if e is not None), None)
        if error is None:
            slots.append(slot)
        else:
            errors.append(located(error, f"run {run}", where))
    return errors, [runs[s] for s in slots], [[[part[s] for s in slots] for part in parts] for parts in stages]


def refuse(errors: Sequence[SerError], kept: int, folders: Sequence[Path]) -> None:
    """End an experiment, or a study of several, some of whose runs diverged.

    Args:
        errors: of these runs, each naming its run.
        kept: the number of the other, recorded runs.
        folders: the experiments' folders of runs.

    Raises:
        TrainingError: there are errors.
    """
    if not errors:
        return
    causes: dict[str, list[str]] = {}
    for error in errors:
        cause, _, place = error.problem.rpartition(" (")
        causes.setdefault(cause, []).append(place.removesuffix(")"))
    said = "; ".join(f"{cause} ({'; '.join(places)})" for cause, places in causes.items())
    where = [folders[0]] if len(folders) == 1 else list(dict.fromkeys(f.parent for f in folders))
    others = f"The others ({kept} record{'s' * (kept > 1)}) are kept in {', '.join(map(str, where))}. " if kept else ""
    raise TrainingError(
        f"{len(errors)} training{'s' * (len(errors) > 1)} diverged: {said}",
        action=f"{others}No summary is written, as leaving out seeds that diverged would flatter the numbers. The same command "
        "would train these again, to the same end: take a lower --lr, a lower --clip (0 is none), or check the features: "
        "ser store verify.",
    )
