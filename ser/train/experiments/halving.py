"""A search by successive halving: the settings that are trained to the end, and the choice among them.

A run that left counts with its best validation score. Where a setting with such runs is nonetheless the best, these are trained
to the end, until the best one has none. The choices of single folds are made in the same way, by the scores of each fold alone.
"""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from math import floor, log
from pathlib import Path

import numpy as np

from ser.errors import ConfigError
from ser.features.stores.lock import Lock
from ser.metadata.folds.fold import Fold
from ser.results.cells import many
from ser.results.metrics.measures import measure_of_kind
from ser.results.records.names import config_hash
from ser.results.stored.runs import read_run
from ser.train.heads._base import part_of
from ser.train.loop.config import Config
from ser.train.runs.experiment import Experiment
from ser.train.runs.halving import Beaten, Race, Rungs, rung_epochs
from ser.train.runs.job import Run
from ser.train.runs.options import FitOptions
from ser.train.runs.scheduler import train_all
from ser.workers.engine import CLUSTERS, LOCAL, THREADS

FIRST = 3  # settings that cannot be trained, in a message


@dataclass(eq=False)
class Halved:
    """One setting.

    Attributes:
        experiment: its experiment; `done` are its finished runs.
        left: of the runs that left, the epoch and the best validation score until then, by fold and run.
        ended: finished runs, by fold and run.
    """

    experiment: Experiment
    left: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)
    ended: dict[tuple[str, int], Run] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """True if no run failed; to have left is not a failure."""
        return self.experiment.error is None or isinstance(self.experiment.error, Beaten)

    def score(self, folds: Sequence[Fold]) -> float:
        """The mean validation score over folds and runs, those that left with their best."""
        keys = [(fold.name, run) for fold in folds for run in self.experiment.runs]
        return float(np.mean([self._score(key) for key in keys]))

    def lacks(self, folds: Sequence[Fold]) -> bool:
        """True if a run on these folds left, and was not trained to the end afterwards."""
        return any((fold.name, run) not in self.ended for fold in folds for run in self.experiment.runs)

    def complete(self, folds: Sequence[Fold], options: FitOptions) -> None:
        """Train the runs on these folds to the end that left."""
        own = self.experiment
        rest = replace(own, setup=replace(own.setup, folds=list(folds)), job=replace(own.job, rungs=None), done=[], error=None)
        train_all([rest], options, own.name, keep_going=True)
        self.ended |= {(run.record.fold, run.record.run): run for run in rest.done}
        own.error = rest.error

    def _score(self, key: tuple[str, int]) -> float:
        if key in self.ended:
            scores = self.ended[key].record.validation
            assert scores
            return scores.main
        return self.left[key][1]


@dataclass(eq=False)
class Halving:
    """Successive halving of the settings of a search.

    Attributes:
        eta: at a rung one run in so many goes on.
        refused: settings that cannot be trained, each with its reason.
        settings: by the hash of their configuration.
        picked: runs of the settings that single folds chose, by the same hash.
    """

    eta: int
    refused: Sequence[str] = ()
    settings: dict[str, Halved] = field(default_factory=dict)
    picked: dict[str, list[Run]] = field(default_factory=dict)

    def train(self, experiments: Sequence[Experiment], options: FitOptions, label: str) -> None:
        """Train the settings; one that is not trained to the end has the error `Beaten`.

        Raises:
            ConfigError: there is nothing to halve, or a setting cannot be judged by epoch.
            StoreError: another process is at the same search.
        """
        whole = _climb(experiments, self.eta, self.refused, options)
        lock = options.workspace.results / f"halving-{whole.search}"
        with closing(Lock(lock, False, partial(_restart, experiments), "search by halving", "")):
            self._train(experiments, options, label, whole)

    def _train(self, experiments: Sequence[Experiment], options: FitOptions, label: str, whole: Rungs) -> None:
        train_all(experiments, options, label, keep_going=True)
        self.settings = _halved(experiments, whole)
        settings, folds = list(self.settings.values()), experiments[0].folds
        if len(folds) > 1:
            for fold in folds:
                best = _best(settings, [fold], options)
                if best is not None:
                    self.picked.setdefault(best.experiment.job.config_hash, []).extend(
                        best.ended[fold.name, run] for run in best.experiment.runs
                    )
        _best(settings, folds, options)
        for one in settings:
            own = one.experiment
            own.done = list(one.ended.values())
            own.sort()
            if one.is_sound and one.lacks(folds):
                own.error = Beaten("left early: other settings were better on validation")

    def left(self, experiment: Experiment) -> list[tuple[str, int, int, float]]:
        """Fold, run, epoch and best validation score of each run of a setting that left early."""
        found = self.settings[experiment.job.config_hash].left
        return [(*key, *found[key]) for key in sorted(found)]


def _best(settings: list[Halved], folds: Sequence[Fold], options: FitOptions) -> Halved | None:
    """The best setting on some folds, trained to the end; the first of equals. None if none can be trained."""
    while True:
        best = max((s for s in settings if s.is_sound), key=lambda s: s.score(folds), default=None)
        if best is None or not best.lacks(folds):
            return best
        best.complete(folds, options)


def _climb(experiments: Sequence[Experiment], eta: int, refused: Sequence[str], options: FitOptions) -> Rungs:
    """Give each experiment its rungs; those of the last, which name all settings."""
    if options.backend in CLUSTERS:
        raise ConfigError(f"--halving with --backend {options.backend}", expected=f"the backend {LOCAL} or {THREADS}")
    if options.shard is not None:
        raise ConfigError(
            f"--halving with --shard {options.shard}: its settings are compared while they are trained",
            action="Leave one of them out.",
        )
    epochs = [_epochs(e) for e in experiments]
    rungs = min(floor(log(n, eta) + 1e-9) for n in (len(experiments), *epochs))
    if rungs < 1:
        raise ConfigError(
            f"--halving {eta} of {many(len(experiments), 'setting')} of {many(min(epochs), 'epoch')}",
            expected=f"at least {eta} settings that can be trained, and {eta} epochs",
            found=_first(refused),
            action=f"{'Mend or replace what cannot be trained, take' if refused else 'Take'} more settings or epochs, or leave "
            "--halving out.",
        )
    search = config_hash({"eta": eta, "settings": [e.job.config_hash for e in experiments]})
    settings: list[tuple[Path, str]] = []
    for experiment, number in zip(experiments, epochs, strict=True):
        job = experiment.job
        settings.append((job.folder, job.config_hash))
        curve = f"validation_{measure_of_kind(job.data.target.kind).names[0]}"
        own = Rungs(search, os.getpid(), eta, rung_epochs(number, eta, rungs), curve, tuple(settings))
        experiment.job = replace(job, rungs=own)
    return own


def _first(refused: Sequence[str]) -> str | None:
    """Name the settings that cannot be trained; of many the first ones. None if there are none."""
    shown = [reason.rstrip(".") for reason in refused[:FIRST]]
    more = [f"and {len(refused) - FIRST} more"] if len(refused) > FIRST else []
    return f"what cannot be trained: {'; '.join([*shown, *more])}" if shown else None


def _epochs(experiment: Experiment) -> int:
    recipe = experiment.job.recipe
    if not isinstance(recipe, Config) or part_of(recipe.head) != recipe.head:
        raise ConfigError(
            f"--halving with --head {recipe.head}",
            expected="one head that is judged after each epoch: none of scikit-learn, and no late fusion",
            action="Take another head, or leave --halving out.",
        )
    if recipe.average != "none" or recipe.snapshots != 1:
        option = f"--average {recipe.average}" if recipe.average != "none" else f"--snapshots {recipe.snapshots}"
        raise ConfigError(
            f"--halving with {option}",
            expected="a head that is judged after each epoch by its own weights",
            action="Leave one of them out.",
        )
    if not all(len(fold.validation) for fold in experiment.folds):
        raise ConfigError("--halving where a fold has no validation part", action="Take another --protocol.")
    return recipe.epochs


def _restart(experiments: Sequence[Experiment]) -> None:
    """Keep the scores of runs that left in this search, write those of runs that were recorded, and remove all others."""
    for experiment in experiments:
        job, rungs = experiment.job, experiment.job.rungs
        assert rungs is not None
        for fold, run in product(experiment.folds, experiment.runs):
            there = rungs.at(run, fold.name)
            if there is not None and there.left is not None:
                continue
            recorded = read_run(job.folder, run, fold.name, config_hash=job.config_hash)
            scores = None if recorded is None else rungs.of_record(recorded[0])
            if scores is None:
                rungs.file(run, fold.name).unlink(missing_ok=True)
            else:
                rungs.write(run, fold.name, scores)


def _halved(experiments: Sequence[Experiment], whole: Rungs) -> dict[str, Halved]:
    """The settings by their hash, once all runs have ended or left.

    Of runs that left and were trained to the end by an earlier call, the choices begin with the score of their leaving too.
    """
    found = {e.job.config_hash: Halved(e) for e in experiments}
    for fold, run in product(experiments[0].folds, experiments[0].runs):
        race, key = Race(whole, run, fold.name), (fold.name, run)
        for place, one in enumerate(found.values()):
            left = race.left(place)
            if left is not None:
                one.left[key] = left
    for one in found.values():
        ended = {(run.record.fold, run.record.run): run for run in one.experiment.done}
        one.ended = {key: run for key, run in ended.items() if key not in one.left}
    return found
