"""`fit`: a head over seeds and folds of one dataset, and its record."""

from pathlib import Path
from typing import Any

from ser.results.result import Result
from ser.train.runs.experiment import check_saving, fit_experiment
from ser.train.runs.final import train_final
from ser.train.runs.joined_corpora import load
from ser.train.runs.options import read_options, with_options
from ser.train.runs.scheduler import train_all
from ser.workspace import Workspace


@with_options()
def fit(
    dataset: str, workspace: Workspace | str | Path = ".", *, head: str = "mlp", final: bool = False, **options: Any
) -> Result:
    """Train a head over seeds and folds on cached features, and write the record.

    Args:
        dataset: a dataset of the workspace with features.
        head: the head plugin; or `sklearn:` and the name of a classifier of scikit-learn, of whose training options
            `head_options` and `class_weights` are left.
        final: also train heads to use, one for each run, on all utterances, for as many epochs as the folds chose.

    Returns:
        The summary, as written. Runs that were finished by an earlier, interrupted call are not trained again.
    """
    given = read_options(fit, workspace, head, options)
    experiment = fit_experiment(load(dataset, given), given)
    if final:
        check_saving(experiment.job.recipe, experiment.folds)
    train_all([experiment], given, experiment.name)
    experiment.summarise()
    if final:
        train_final(experiment)
    return given.result(experiment.numbers)
