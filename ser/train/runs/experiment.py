"""An experiment's beginning and end: from options to a job with its folds, and from finished runs to the summary."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ser.audit.split_data import SplitData, split_data
from ser.errors import ConfigError
from ser.features.normalise import LIMIT
from ser.features.tensors import Tensors, load_tensors
from ser.metadata.folds.fold import Fold, FoldOptions
from ser.registry import unknown
from ser.results.records import record
from ser.results.records.notes import notes_of
from ser.train.classical.classifier import Classical
from ser.train.classical.saved import check_savable
from ser.train.runs import identity
from ser.train.runs.job import Job, Run
from ser.train.runs.recipe import Recipe, device_of, make_recipe, stamps_of
from ser.workspace import Workspace

REFITS = ("auto", "always", "never")


@dataclass(frozen=True)
class FitOptions:
    """All options of `ser.train.experiments.fit.fit` but dataset, workspace, head and those of training; described there."""

    scheme: str = "4"
    protocol: str | None = None
    runs: int = 5
    seed: int = 0
    stores: Sequence[str] | None = None
    modalities: Sequence[str] | None = None
    views: Sequence[str] | None = None
    normalize: str = "train"
    limit: float = LIMIT
    folds: FoldOptions | None = None
    refit: str = "auto"
    save: bool = False
    output: Path | str | None = None
    jobs: int | None = None
    stack: int | None = None
    device: str = "auto"
    quiet: bool = True
    command: str = "ser.fit"

    @property
    def features(self) -> dict[str, Any]:
        """What `load_tensors` takes of them."""
        return {
            "scheme": self.scheme,
            "stores": self.stores,
            "modalities": self.modalities,
            "views": self.views,
        }


@dataclass(frozen=True, eq=False)
class Begun:
    """An experiment that can be trained.

    Attributes:
        job: what its workers need.
        setup: data under the protocol, with what the record says of it.
        asked: the record's `config`.
        path: of the summary.
        runs: numbers of the runs.
    """

    job: Job
    setup: SplitData
    asked: dict[str, Any]
    path: Path
    runs: range

    @property
    def folds(self) -> list[Fold]:
        return self.setup.folds


def split_options(given: dict[str, Any]) -> tuple[FitOptions, dict[str, Any]]:
    """Options of the experiment, and those of training, which are checked by the head's configuration."""
    known = {f.name for f in fields(FitOptions)}
    return (
        FitOptions(**{k: v for k, v in given.items() if k in known}),
        {k: v for k, v in given.items() if k not in known},
    )


def check_runs(runs: int) -> None:
    """Refuse an experiment of no runs.

    Raises:
        ConfigError: fewer than one.
    """
    if runs < 1:
        raise ConfigError(f"runs = {runs}", expected="1 or more")


def open_workspace(workspace: Workspace | str | Path) -> Workspace:
    return workspace if isinstance(workspace, Workspace) else Workspace(Path(workspace))


def load(dataset: str, space: Workspace, options: FitOptions) -> Tensors:
    """The dataset's tensors under the options' scheme and choice of features."""
    return load_tensors(dataset, space, **options.features)


def begin(data: Tensors, space: Workspace, head: str, training: dict[str, Any], options: FitOptions) -> Begun:
    """Check everything, and say what is to be trained; nothing is written.

    Args:
        training: fields of the head's configuration.

    Raises:
        ConfigError: an option that is unknown or does not fit.
    """
    check_runs(options.runs)
    if options.refit not in REFITS:
        raise unknown("refit", options.refit, REFITS)
    recipe = make_recipe(head, **training)
    setup = split_data(data, options.protocol, options.folds or FoldOptions(), options.normalize, options.scheme)
    asked = identity.identity(recipe, options.seed, setup.facts, limit=options.limit, refit=options.refit)
    return assemble(setup, recipe, asked, ["fit", data.dataset], space, options, setup.stamps + stamps_of(recipe))


def assemble(
    setup: SplitData,
    recipe: Recipe,
    asked: dict[str, Any],
    words: Sequence[str],
    space: Workspace,
    options: FitOptions,
    stamps: list[str],
    **more: Any,
) -> Begun:
    """An experiment of data under a protocol and a head's configuration.

    Args:
        asked: the record's `config`.
        words: what its name begins with.
        stamps: sentences that its record must carry.
        more: attributes of the job: how a fold is gone on from, what is balanced.

    Raises:
        ConfigError: a device that is not there; a head that is to be saved and cannot be.
    """
    if options.save and isinstance(recipe, Classical):
        check_savable(recipe)
    place = device_of(recipe, options.device)
    words = [*words, recipe.head, setup.protocol, Path(options.scheme).stem]
    name, path = identity.place(space, options.output, words, asked)
    job = Job(
        data=setup.data,
        config=recipe,
        normalize=options.normalize,
        limit=options.limit,
        seed=options.seed,
        device=place,
        experiment=name,
        config_hash=record.config_hash(asked),
        stamps=stamps,
        folder=path.with_suffix(""),
        refit=options.refit,
        save=options.save,
        **more,
    )
    return Begun(job, setup, asked, path, range(options.runs))


def conclude(
    begun: Begun, done: list[Run], command: str, started: datetime, *, part: bool = False, **extra: Any
) -> dict[str, Any]:
    """Write the summary of all runs, and give it.

    Args:
        part: whether the experiment is part of a study: a summary of more runs, which another study or the user may have
            asked for, is then left as it is.
        extra: keys that are added.
    """
    order = [f.name for f in begun.folds]
    done = sorted(done, key=lambda r: (r[0]["run"], order.index(r[0]["fold"])))
    summary = record.summarise(
        experiment=begun.job.experiment,
        command=command,
        config=begun.asked,
        data=begun.setup.facts,
        stamps=begun.job.stamps,
        runs=[r for r, _ in done],
        predictions=pd.concat([p for _, p in done], ignore_index=True),
        classes=list(begun.job.data.classes),
        started=started,
        seconds=sum(r["seconds"] for r, _ in done),
        device=begun.job.device,
        folder=begun.path.stem,
        extra={"notes": notes_of(done), **extra},
    )
    if not (part and _has_more(begun)):
        record.write_summary(begun.path, summary)
    return summary


def _has_more(begun: Begun) -> bool:
    """Whether there is a summary of the same experiment over more runs."""
    if not begun.path.exists():
        return False
    there = record.read_any(begun.path)
    same = there["config_hash"] == begun.job.config_hash
    return same and len({r["run"] for r in there["runs"]}) > len(begun.runs)
