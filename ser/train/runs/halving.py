"""Successive halving: at some epochs of a training, the rungs, a run leaves its stack if others were better there.

A run meets the same seed and fold of the settings before its own in the list of a search, as far as they came to the rung: it
goes on if its best validation score so far is among the best of them and itself, one in `eta`. That is asynchronous successive
halving (Li et al., MLSys 2020) in a fixed order: a run never waits for a later setting, so that all are trained at once on any
number of processes, and who leaves does not depend on that number. Scores of other folds decide nothing.

Each run leaves a file of its scores beside its record, by which the runs of other processes, and the same search after a kill,
know them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import field as struct_field

from ser.errors import ConfigError, TrainingError
from ser.jsonfile import Model, decode, read_limited, write_json
from ser.results.records.names import run_name
from ser.train.loop.data import Trained

WAIT_SECONDS = 0.02  # between two looks for the score of a run that another process trains


class Beaten(TrainingError):
    """A run left at a rung, or the setting has such runs. It is no fault."""


class Scores(Model, kw_only=True):
    """The file of a run's scores at the rungs.

    Attributes:
        search: the search that it was trained in.
        scores: the best validation score up to each rung that it came to.
        left: the epoch after which it left; None if it did not.
        ended: no scores will be added.
    """

    search: str
    config_hash: str
    scores: list[float] = struct_field(default_factory=list)
    left: int | None = None
    ended: bool = False


@dataclass(frozen=True)
class Rungs:
    """The rungs of one setting of a search.

    Attributes:
        search: its name.
        eta: one run in so many goes on.
        epochs: those after which runs may leave.
        curve: the validation score that decides, by the name of its curve.
        rivals: folder and hash of each setting before this one.
    """

    search: str
    eta: int
    epochs: tuple[int, ...]
    curve: str
    rivals: tuple[tuple[Path, str], ...] = ()

    def at(self, folder: Path, config_hash: str, run: int, fold: str) -> Scores | None:
        """The scores of a run in this search; None where there are none."""
        path = scores_file(folder, run, fold)
        try:
            found = decode(read_limited(path, "scores of a run"), Scores, path)
        except ConfigError:
            return None
        return found if (found.search, found.config_hash) == (self.search, config_hash) else None

    def best(self, curve: Sequence[float]) -> list[float]:
        """The best score up to each rung of a run that has ended by itself."""
        return [max(curve[:epoch]) for epoch in self.epochs]


def scores_file(folder: Path, run: int, fold: str) -> Path:
    """The file of a run's scores, in the folder of its experiment."""
    return folder / f"{run_name(run, fold)}.rungs.json"


def rung_epochs(epochs: int, eta: int, rungs: int) -> tuple[int, ...]:
    """The epochs of the rungs: so many parts of a training, each `eta` times as long as the one before, the last left out.

    >>> rung_epochs(60, 3, 2)
    (7, 20)
    """
    return tuple(-(-epochs // eta**k) for k in range(rungs, 0, -1))


@dataclass(eq=False)
class Referee:
    """The judge of a stack of runs of a setting, whose folder and hash these are, on one fold."""

    rungs: Rungs
    folder: Path
    config_hash: str
    fold: str
    runs: list[int]
    own: list[Scores] = field(init=False)

    def __post_init__(self) -> None:
        self.own = [Scores(search=self.rungs.search, config_hash=self.config_hash) for _ in self.runs]

    def __call__(self, slot: int, epoch: int, trained: Trained, going: bool) -> Beaten | None:
        """Note a run's score after an epoch; the error with which it leaves, or None.

        Args:
            slot: of the run in the stack, before others left it.
            going: False if the training ends with this epoch anyway.
        """
        scores, curve = self.own[slot], trained.curves[self.rungs.curve]
        if not going:
            scores.scores, scores.ended = self.rungs.best(curve), True
        elif epoch in self.rungs.epochs:
            scores.scores.append(max(curve))
            if self._is_beaten(slot):
                scores.left, scores.ended = epoch, True
        else:
            return None
        self._write(slot)
        return None if scores.left is None else Beaten(f"left after epoch {epoch}")

    def close(self) -> None:
        """Let nobody wait for a run that has ended otherwise: it diverged, or could not be trained."""
        for slot, scores in enumerate(self.own):
            if not scores.ended:
                scores.ended = True
                self._write(slot)

    def _is_beaten(self, slot: int) -> bool:
        scores = self.own[slot].scores
        others = [self._rival(folder, key, self.runs[slot], len(scores) - 1) for folder, key in self.rungs.rivals]
        there = [score for score in others if score is not None]
        return sum(score >= scores[-1] for score in there) >= max(1, (len(there) + 1) // self.rungs.eta)

    def _rival(self, folder: Path, config_hash: str, run: int, rung: int) -> float | None:
        """The score of another setting's run at a rung, once it is known; None if it did not come so far."""
        while True:
            found = self.rungs.at(folder, config_hash, run, self.fold)
            if found is not None and (found.ended or len(found.scores) > rung):
                return found.scores[rung] if len(found.scores) > rung else None
            time.sleep(WAIT_SECONDS)

    def _write(self, slot: int) -> None:
        write_json(scores_file(self.folder, self.runs[slot], self.fold), self.own[slot])
