"""`fit`: a head over seeds and folds of one dataset, and its record."""

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ser.features.normalise import LIMIT
from ser.metadata.folds.fold import FoldOptions
from ser.train.runs.experiment import FitOptions, begin, conclude, load, open_workspace
from ser.train.runs.scheduler import train_all
from ser.workspace import Workspace


def fit(
    dataset: str,
    workspace: Workspace | str | Path = ".",
    *,
    head: str = "mlp",
    scheme: str = "4",
    protocol: str | None = None,
    runs: int = 5,
    seed: int = 0,
    stores: Sequence[str] | None = None,
    modalities: Sequence[str] | None = None,
    views: Sequence[str] | None = None,
    normalize: str = "train",
    limit: float = LIMIT,
    folds: FoldOptions | None = None,
    refit: str = "auto",
    save: bool = False,
    output: Path | str | None = None,
    jobs: int | None = None,
    stack: int | None = None,
    device: str = "auto",
    quiet: bool = True,
    command: str = "ser.fit",
    **training: Any,
) -> dict[str, Any]:
    """Train a head over seeds and folds on cached features, and write the record.

    Args:
        dataset: a dataset of the workspace with features.
        head, training: the head plugin, and fields of `ser.train.loop.config.Config`; or `sklearn:` and the name of a
            classifier of scikit-learn, with `head_options` and `class_weights`.
        scheme: label scheme.
        protocol: None takes the one that fits the table.
        runs: seeds; run k has the same numbers whatever `runs` is.
        seed: of the experiment.
        stores, modalities: which features; None takes all cached modalities.
        views: augmented views of the audio that training utterances are drawn among, one for each utterance, run and epoch:
            names, `all` that are there, or `tta`; None is the original alone. Validation and test are always the original.
        normalize, limit: see `ser.features.normalise.normalise`.
        folds: options of the protocol.
        refit: whether the head that is tested is trained again, on training and validation, for the number of epochs that
            validation picked: `always`, `never`, or `auto`: where validation was carved out of the protocol's training
            part, and not where it is a published part of its own. Validation scores are of the head before.
        save: also write each run's head, for `ser.Predictor`.
        output: summary file; None names it after the experiment in `results/`.
        jobs, stack: workers, and runs trained together; None lets the executor choose.
        device: `auto`, `cpu`, `cuda`, ...

    Returns:
        The summary, as written. Runs that were finished by an earlier, interrupted call are not trained again.
    """
    started = datetime.now(timezone.utc)
    options = FitOptions(
        scheme=scheme,
        protocol=protocol,
        runs=runs,
        seed=seed,
        stores=stores,
        modalities=modalities,
        views=views,
        normalize=normalize,
        limit=limit,
        folds=folds,
        refit=refit,
        save=save,
        output=output,
        jobs=jobs,
        stack=stack,
        device=device,
        quiet=quiet,
        command=command,
    )
    space = open_workspace(workspace)
    begun = begin(load(dataset, space, options), space, head, training, options)
    (done,) = train_all([begun], options, begun.job.experiment)
    return conclude(begun, done, command, started)
