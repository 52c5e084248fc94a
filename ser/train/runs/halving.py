"""Successive halving: at some epochs of a training, the rungs, a run leaves its stack if others were better there.

A run meets the same seed and fold of the settings before its own in the list of a search, as far as they came to the rung: it
goes on if its best validation score so far is among the best of them and itself, one in `eta`. That is asynchronous successive
halving (Li et al., MLSys 2020) in a fixed order: a run never waits for a later setting, so that all are trained at once on any
number of processes, and who leaves does not depend on that number. Scores of other folds decide nothing.

A run that was recorded before is judged by its curve as if it were trained now: no choice depends on what was recorded.

Each run leaves a file of its scores beside its record, one for each search, by which the runs of other processes, and the same
search after a kill, know them.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import field as struct_field

from ser.errors import ConfigError, TrainingError
from ser.jsonfile import Model, decode, read_limited, write_json
from ser.results.records.model import RunRecord
from ser.results.records.names import run_name
from ser.train.loop.data import Trained
from ser.workers.thread_pool import go_on, in_worker

WAIT_SECONDS = 0.02  # between two looks for the score of a run that another process trains


class Beaten(TrainingError):
    """A run left at a rung, or the setting has such runs. It is not a fault."""


class Scores(Model, kw_only=True):
    """The file of a run's scores at the rungs.

    Attributes:
        scores: the best validation score up to each rung that it came to; of a recorded run up to all.
        left: the epoch after which it left; None if it did not.
        ended: no scores will be added.
        trained: the epochs of a run that was recorded before; `Race.left` tells where it would have left. None of all others.
    """

    config_hash: str
    scores: list[float] = struct_field(default_factory=list)
    left: int | None = None
    ended: bool = False
    trained: int | None = None


@dataclass(frozen=True)
class Rungs:
    """The rungs of one setting of a search.

    Attributes:
        search: its name.
        process: that of the command, which starts all others that train its runs.
        eta: one run in so many goes on.
        epochs: those after which runs may leave.
        curve: the validation score that decides, by the name of its curve.
        settings: folder and hash of each setting in the order of the search, this one the last.
    """

    search: str
    process: int
    eta: int
    epochs: tuple[int, ...]
    curve: str
    settings: tuple[tuple[Path, str], ...]

    def file(self, run: int, fold: str, place: int = -1) -> Path:
        """The file of the scores of a run of a setting, in the folder of its experiment."""
        return self.settings[place][0] / f"{run_name(run, fold)}.{self.search}.rungs.json"

    def at(self, run: int, fold: str, place: int = -1) -> Scores | None:
        """The scores of a run of a setting in this search; None where there are none."""
        path = self.file(run, fold, place)
        try:
            found = decode(read_limited(path, "scores of a run"), Scores, path)
        except ConfigError:
            return None
        return found if found.config_hash == self.settings[place][1] else None

    def write(self, run: int, fold: str, scores: Scores) -> None:
        """Write the scores of a run of this setting."""
        write_json(self.file(run, fold), scores)

    def new(self) -> Scores:
        """Scores of a run of this setting that came to no rung yet."""
        return Scores(config_hash=self.settings[-1][1])

    def best(self, curve: Sequence[float]) -> list[float]:
        """The best score up to each rung of a run that has ended by itself."""
        return [max(curve[:epoch]) for epoch in self.epochs]

    def of_record(self, record: RunRecord) -> Scores | None:
        """The scores of a run of this setting that was recorded before; None if its record lacks the curve."""
        curve = (record.curves or {}).get(self.curve, [])
        values = [value for value in curve if value is not None]
        if not curve or len(values) < len(curve):
            return None
        return Scores(config_hash=record.config_hash or "", scores=self.best(values), ended=True, trained=len(values))

    def close(self, runs: Sequence[int], fold: str) -> None:
        """Let nobody wait for runs of this setting that have ended otherwise: they diverged, or could not be trained."""
        for run in runs:
            scores = self.at(run, fold) or self.new()
            if not scores.ended:
                scores.ended = True
                self.write(run, fold, scores)


def rung_epochs(epochs: int, eta: int, rungs: int) -> tuple[int, ...]:
    """The epochs of the rungs: so many parts of a training, each `eta` times as long as the one before, the last left out.

    >>> rung_epochs(60, 3, 2)
    (7, 20)
    """
    return tuple(-(-epochs // eta**k) for k in range(rungs, 0, -1))


@dataclass(eq=False)
class Race:
    """The runs of one seed on one fold, of all settings that some rungs name."""

    rungs: Rungs
    run: int
    fold: str
    _known: dict[tuple[int, int], float | None] = field(default_factory=dict, init=False)

    def is_beaten(self, place: int, rung: int, score: float) -> bool:
        """True if a setting's run leaves with this score at a rung: too many of the settings before it were better there."""
        others = [self._score(other, rung) for other in range(place)]
        there = [other for other in others if other is not None]
        return sum(other >= score for other in there) >= max(1, (len(there) + 1) // self.rungs.eta)

    def left(self, place: int) -> tuple[int, float] | None:
        """The epoch after which a setting's run left, and its score there; None if it did not."""
        found = self._found(place, len(self.rungs.epochs))
        if found.trained is None:
            return None if found.left is None else (found.left, found.scores[-1])
        rung = self._rung_left(place, found, found.trained, len(found.scores))
        return None if rung is None else (self.rungs.epochs[rung], found.scores[rung])

    def _rung_left(self, place: int, found: Scores, trained: int, count: int) -> int | None:
        """The rung at which a recorded run would have left, among the first; a run that has ended by itself leaves no more."""
        there = [rung for rung in range(count) if self.rungs.epochs[rung] < trained]
        return next((rung for rung in there if self.is_beaten(place, rung, found.scores[rung])), None)

    def _score(self, place: int, rung: int) -> float | None:
        """The score of a setting's run at a rung; None if it did not come so far."""
        if (place, rung) not in self._known:
            found = self._found(place, rung)
            gone = found.trained is not None and self._rung_left(place, found, found.trained, rung) is not None
            self._known[place, rung] = None if gone or len(found.scores) <= rung else found.scores[rung]
        return self._known[place, rung]

    def _found(self, place: int, rung: int) -> Scores:
        """The scores of a setting's run, once it came to a rung or ended.

        A worker waits for the others. It does not wait for ever: the command ends all workers if it loses one, and they end
        with the command.
        """
        while True:
            found = self.rungs.at(self.run, self.fold, place)
            if found is not None and (found.ended or len(found.scores) > rung):
                return found
            go_on()
            if os.getpid() == self.rungs.process and not in_worker():  # this one alone trains, one run after the other
                raise TrainingError(
                    "a run of the search has no scores, by which later settings are judged",
                    expected=str(self.rungs.file(self.run, self.fold, place)),
                    action="Give the same command again; let nothing else write this folder meanwhile.",
                )
            time.sleep(WAIT_SECONDS)


@dataclass(eq=False)
class Referee:
    """The judge of a stack of runs of a setting on one fold."""

    rungs: Rungs
    runs: Sequence[int]
    fold: str

    def __post_init__(self) -> None:
        self.own = [self.rungs.new() for _ in self.runs]
        self.races = [Race(self.rungs, run, self.fold) for run in self.runs]

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
            if self.races[slot].is_beaten(len(self.rungs.settings) - 1, len(scores.scores) - 1, scores.scores[-1]):
                scores.left, scores.ended = epoch, True
        else:
            return None
        self.rungs.write(self.runs[slot], self.fold, scores)
        return None if scores.left is None else Beaten(f"left after epoch {epoch}")
