"""The job of few-shot workers, one for all methods, and the source models that the methods share."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError, SerError
from ser.features.normalise import normalise
from ser.metadata.folds.fold import Fold
from ser.train.classical.classifier import Classical
from ser.train.fewshot.shots import Amount
from ser.train.loop.data import Account, Trained
from ser.train.runs.experiment import Experiment
from ser.train.runs.job import Job
from ser.train.runs.recipe import Recipe, make_recipe


@dataclass(frozen=True, eq=False)
class Shots:
    """The way in which labelled target data are drawn and learned from.

    Attributes:
        amounts: of target data, the same for every method.
        speaker_aware: true if one speaker is used up before the next.
        tuning: the recipe by which a head goes on from the source model.
        fresh: the recipe by which a head is trained from random weights.
    """

    amounts: list[Amount]
    speaker_aware: bool
    tuning: Recipe
    fresh: Recipe


@dataclass(frozen=True, eq=False)
class FewshotJob:
    """The job of all runs, folds and methods.

    Attributes:
        jobs: of each method. All have the same data, and features that are normalised already, unless each fold is
            normalised by its own training part (`normalize` is then still `train`).
        shots: the way in which target data are drawn and learned from.
        first: training on the source; None without one.
        folds: the number of folds that share the cost of a source model in the records.
    """

    jobs: dict[str, Job]
    shots: Shots
    first: Fold | None
    folds: int

    @property
    def common(self) -> Job:
        """The job of the first method; those of the others differ in their names alone."""
        return next(iter(self.jobs.values()))


@dataclass(eq=False)
class SourceModels:
    """Source models of a stack of runs.

    Attributes:
        runs: their numbers.
        weights: of each part, `(runs, n)`.
        trained: one outcome per run.
        account: of each run, the record's account of the training.
        validation: probabilities of the source's validation part, `(runs, rows, classes)`.
        errors: of the runs of the stack that diverged, which are not among `runs`.
    """

    runs: list[int]
    weights: list[Any]
    trained: list[Trained]
    account: list[Account]
    validation: NDArray[np.float64]
    errors: list[SerError]

    def of(self, slots: slice) -> "SourceModels":
        """The models of some of the runs."""
        weights = [w[slots] for w in self.weights]
        return SourceModels(self.runs[slots], weights, self.trained[slots], self.account[slots], self.validation[slots], [])


class Learning(NamedTuple):
    """A unit of work: runs that learn from some amounts of one fold's training part by some methods.

    Attributes:
        source: their source models; None without a source, or where these diverged.
        amounts: `NOTHING` stands for the source model itself.
    """

    job: FewshotJob
    fold: Fold
    runs: list[int]
    source: SourceModels | None
    methods: list[str]
    amounts: list[Amount]


def make_shots(
    recipe: Recipe, source: str | None, amounts: list[Amount], speaker_aware: bool, epochs: int, lr_factor: float, freeze: str
) -> Shots:
    """Make the recipes by which a head goes on from a source model, gently, and learns from shots alone, in full.

    Args:
        recipe: of the source model.
        epochs, lr_factor, freeze: of fine-tuning: epochs, share of the source's learning rate, and the part that is kept.

    Raises:
        ConfigError: a number is out of its range, or an encoder is to be kept where none is trained before.
    """
    if epochs < 1:
        raise ConfigError(f"tune_epochs = {epochs}", expected="1 or more")
    if not 0 < lr_factor < float("inf"):
        raise ConfigError(f"lr_factor = {lr_factor}", expected="above 0")
    if source is None and freeze != "none":
        raise ConfigError(f"freeze = {freeze} without a source", expected="a source, whose encoder is then kept")
    if isinstance(recipe, Classical):
        return Shots(amounts, speaker_aware, recipe, recipe)
    fresh = replace(recipe, selection="last", patience=0)
    tuned = {**fresh.as_dict(), "epochs": epochs, "lr": recipe.lr * lr_factor, "freeze": freeze}
    return Shots(amounts, speaker_aware, fresh if source is None else make_recipe(**tuned), fresh)


def fewshot_job(experiments: Mapping[str, Experiment], shots: Shots, first: Fold | None) -> FewshotJob:
    """Make the job of several methods on the same data; features are normalised here, unless each fold has its own statistics.

    Args:
        experiments: by method.
        first: training on the source; None without one.

    Raises:
        ConfigError: speaker-aware shots where speakers are not known.
    """
    experiment = next(iter(experiments.values()))
    setup, options, data = experiment.setup, experiment.options, experiment.setup.data
    used = np.concatenate([f.train for f in setup.folds])
    if shots.speaker_aware and (data.frame["speaker"].to_numpy()[used] == "").any():
        raise ConfigError(f"{setup.facts['target']}: speaker-aware shots need the speaker of every utterance")
    how = options.normalize
    if first is not None or how != "train":
        data, how = normalise(data, how, used if first is None else first.train, options.limit)[0], "none"
    jobs = {method: replace(e.job, data=data, normalize=how) for method, e in experiments.items()}
    return FewshotJob(jobs, shots, first, len(setup.folds))
