"""Final heads: each run of an experiment trained once more, on all its utterances, for as many epochs as its folds chose.

They have no score: every utterance was trained on. The experiment's own, over its folds, says what such a training is worth.
"""

from dataclasses import replace
from pathlib import Path
from statistics import median

from ser.errors import SerError
from ser.progress import progress
from ser.results.records.names import ALL_ROWS, HEAD, head_file_name
from ser.train.checkpoint import head_facts
from ser.train.classical.classifier import Classical
from ser.train.runs.divergence import refuse
from ser.train.runs.experiment import Experiment
from ser.train.runs.plan import engine_of, groups, stack_of
from ser.train.runs.scheduler import run_units
from ser.train.runs.worker import train_on_all


def train_final(experiment: Experiment) -> None:
    """Train and save a final head for each run of a finished experiment; heads that are there, of as many epochs, are kept.

    The number of epochs is the middle of those that the experiment's runs and folds chose.

    Raises:
        TrainingError: runs diverged; all others are saved before.
    """
    options, epochs = experiment.options, _epochs(experiment)
    job = replace(experiment.job, save=True)
    missing = [run for run in experiment.runs if not _is_there(experiment, run, epochs)]
    rows = len(job.data.frame)
    size = stack_of(job.recipe, job.data, max(len(missing), 1), job.device, options.stack, [rows])
    units = [(job, epochs, group) for group in groups(missing, size)]
    engine = engine_of(options, len(units), job.device, short=False, sklearn=isinstance(job.recipe, Classical))
    results, errors = run_units(train_on_all, units, engine), list[SerError]()
    for _, found in progress(results, len(units), f"{experiment.name}, all utterances", "job", options.quiet):
        errors += found
    own = {head_file_name(run, ALL_ROWS) for run in experiment.runs}
    for file in job.folder.glob(f"*.fold-{ALL_ROWS}{HEAD}"):
        if file.name not in own:
            file.unlink()  # of runs that the record no longer has
    refuse(errors, len(experiment.runs) - len(errors), [job.folder])


def final_line(summary: Path) -> str:
    """The final heads of an experiment in one line.

    Args:
        summary: its file.
    """
    heads = sorted(summary.with_suffix("").glob(f"*.fold-{ALL_ROWS}{HEAD}"))
    epochs = head_facts(heads[0]).epochs
    how = f", {epochs} epochs, the middle of what the folds chose" if epochs else ""
    return f"final heads: {len(heads)}, trained on all utterances{how}; ser predict takes them. They have no score of their own"


def _epochs(experiment: Experiment) -> int:
    """The middle of the epochs that runs and folds chose; 0 for a classical head, which has none."""
    if isinstance(experiment.job.recipe, Classical):
        return 0
    return max(1, round(median(int(run.record.best_epoch or 0) for run in experiment.done)))


def _is_there(experiment: Experiment, run: int, epochs: int) -> bool:
    job = experiment.job
    try:
        facts = head_facts(job.folder / head_file_name(run, ALL_ROWS))
    except SerError:  # not there, or damaged: it is trained
        return False
    return facts.config_hash == job.config_hash and facts.epochs == epochs
