"""A search by successive halving: the settings that are trained to the end, and the choice among them.

A run that left counts with its best validation score. Where a setting with such runs is nonetheless the best, these are trained
to the end, until the best one has none. The choices of single folds are made in the same way, by the scores of each fold alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import floor, log
from pathlib import Path

import numpy as np

from ser.errors import ConfigError
from ser.jsonfile import write_json
from ser.metadata.folds.fold import Fold
from ser.results.metrics.measures import MEASURES
from ser.results.records.names import config_hash
from ser.results.stored.runs import read_run
from ser.train.heads._base import part_of
from ser.train.loop.config import Config
from ser.train.runs.experiment import Experiment
from ser.train.runs.halving import Beaten, Rungs, Scores, rung_epochs, scores_file
from ser.train.runs.job import Job, Run
from ser.train.runs.options import FitOptions
from ser.train.runs.scheduler import train_all
from ser.workers.engine import LOCAL


@dataclass(eq=False)
class Halved:
    """One setting.

    Attributes:
        experiment: its experiment; `done` are its finished runs.
        scores: the best validation scores of the runs that left, by fold and run.
        ended: finished runs, by fold and run.
    """

    experiment: Experiment
    scores: dict[tuple[str, int], Scores] = field(default_factory=dict)
    ended: dict[tuple[str, int], Run] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """True if no run failed; to have left is no failure."""
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
        rest = replace(
            own, setup=replace(own.setup, folds=list(folds)), job=replace(own.job, rungs=None), done=[], error=None
        )
        train_all([rest], options, own.name, keep_going=True)
        self.ended |= {(run.record.fold, run.record.run): run for run in rest.done}
        own.error = rest.error

    def _score(self, key: tuple[str, int]) -> float:
        if key in self.ended:
            scores = self.ended[key].record.validation
            assert scores
            return scores.main
        return self.scores[key].scores[-1]


@dataclass(eq=False)
class Halving:
    """Successive halving of the settings of a search.

    Attributes:
        eta: at a rung one run in so many goes on.
        settings: by the hash of their configuration.
        picked: runs of the settings that single folds chose, by the same hash.
    """

    eta: int
    settings: dict[str, Halved] = field(default_factory=dict)
    picked: dict[str, list[Run]] = field(default_factory=dict)

    def train(self, experiments: Sequence[Experiment], options: FitOptions, label: str) -> None:
        """Train the settings; one that is not trained to the end has the error `Beaten`.

        Raises:
            ConfigError: there is nothing to halve, or a setting cannot be judged by epoch.
        """
        _climb(experiments, self.eta, options)
        train_all(experiments, options, label, keep_going=True)
        self.settings = {e.job.config_hash: _halved(e) for e in experiments}
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
        found = self.settings[experiment.job.config_hash].scores
        return [(fold, run, s.left, s.scores[-1]) for (fold, run), s in sorted(found.items()) if s.left is not None]


def _best(settings: list[Halved], folds: Sequence[Fold], options: FitOptions) -> Halved | None:
    """The best setting on some folds, trained to the end; the first of equals. None if none can be trained."""
    while True:
        best = max((s for s in settings if s.is_sound), key=lambda s: s.score(folds), default=None)
        if best is None or not best.lacks(folds):
            return best
        best.complete(folds, options)


def _climb(experiments: Sequence[Experiment], eta: int, options: FitOptions) -> None:
    """Give each experiment its rungs, and put the files of its runs' scores in order."""
    if options.backend != LOCAL:
        raise ConfigError(f"--halving with --backend {options.backend}", expected=f"the backend {LOCAL}")
    if options.shard is not None:
        raise ConfigError(
            f"--halving with --shard {options.shard}: its settings are compared while they are trained",
            action="Leave one of them out.",
        )
    epochs = [_epochs(e) for e in experiments]
    rungs = min(floor(log(n, eta) + 1e-9) for n in (len(experiments), *epochs))
    if rungs < 1:
        raise ConfigError(
            f"--halving {eta} of {len(experiments)} settings of {min(epochs)} epochs",
            expected=f"at least {eta} of both",
            action="Search more settings, or leave --halving out.",
        )
    search = config_hash({"eta": eta, "settings": [e.job.config_hash for e in experiments]})
    rivals: list[tuple[Path, str]] = []
    for experiment, number in zip(experiments, epochs, strict=True):
        job = experiment.job
        curve = f"validation_{MEASURES[job.data.target.kind].names[0]}"
        own = Rungs(search, eta, rung_epochs(number, eta, rungs), curve, tuple(rivals))
        experiment.job = replace(job, rungs=own)
        rivals.append((job.folder, job.config_hash))
        for fold in experiment.folds:
            for run in experiment.runs:
                _restart(job, own, run, fold.name)


def _epochs(experiment: Experiment) -> int:
    recipe = experiment.job.recipe
    fits = isinstance(recipe, Config) and recipe.average == "none" and recipe.snapshots == 1
    if not (isinstance(recipe, Config) and fits and part_of(recipe.head) == recipe.head):
        raise ConfigError(
            f"--halving with {experiment.name}",
            expected="one head that is judged after each epoch: none of scikit-learn, no late fusion, --average or --snapshots",
        )
    if not all(len(fold.validation) for fold in experiment.folds):
        raise ConfigError("--halving where a fold has no validation part", action="Take another --protocol.")
    return recipe.epochs


def _restart(job: Job, rungs: Rungs, run: int, fold: str) -> None:
    """Keep the scores of a run that left in this search, write those of one that was recorded, and remove all others."""
    file = scores_file(job.folder, run, fold)
    there = rungs.at(job.folder, job.config_hash, run, fold)
    if there is not None and there.left is not None:
        return
    recorded = read_run(job.folder, run, fold, config_hash=job.config_hash)
    file.unlink(missing_ok=True)
    if recorded is not None:
        curves = recorded[0].curves
        best = rungs.best([score for score in curves[rungs.curve] if score is not None] if curves else [])
        write_json(file, Scores(search=rungs.search, config_hash=job.config_hash, scores=best, ended=True))


def _halved(experiment: Experiment) -> Halved:
    job, found = experiment.job, Halved(experiment)
    assert job.rungs is not None
    for fold in experiment.folds:
        for run in experiment.runs:
            scores = job.rungs.at(job.folder, job.config_hash, run, fold.name)
            if scores is not None and scores.left is not None:
                found.scores[fold.name, run] = scores
    # Of runs that left and were trained to the end by an earlier call, the choices begin with the score of their leaving too.
    ended = {(run.record.fold, run.record.run): run for run in experiment.done}
    found.ended = {key: run for key, run in ended.items() if key not in found.scores}
    return found
