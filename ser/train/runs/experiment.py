"""One object for one experiment: its options, data and recipe, then its finished runs, their predictions and its summary."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from msgspec import UNSET, UnsetType

from ser.audit.sharing import without_epoch
from ser.audit.split_data import SplitData, split_data
from ser.errors import ConfigError, SerError
from ser.features.tensors import Tensors
from ser.metadata.folds.fold import Fold
from ser.metadata.targets import EMOTION, parse_target
from ser.results.metrics.swapped_labels import suspects
from ser.results.records.kinds import read_record
from ser.results.records.model import CorpusNumbers, FewshotSummary, Summary
from ser.results.records.names import ALL_ROWS, config_hash
from ser.results.stored.runs import write_record
from ser.results.stored.summary import FinishedExperiment, notes_of, summarise
from ser.train.classical.classifier import Classical
from ser.train.classical.saved import check_savable
from ser.train.nn.pooling import POOLINGS
from ser.train.runs.identity import identity, name_and_file, relative_path
from ser.train.runs.job import Job, Run
from ser.train.runs.joined_corpora import scheme_of
from ser.train.runs.options import FitOptions, with_stores
from ser.train.runs.plan import device_of
from ser.train.runs.recipe import Recipe, make_recipe, picks_epoch, stamps_of


@dataclass(eq=False)
class Experiment:
    """One recipe on one corpus, or on several joined, under a protocol, over several seeds.

    Attributes:
        options: as the user gave them.
        setup: data under the protocol, with the record's facts about them.
        config: the record's `config`, whose hash names the experiment, see `ser.train.runs.identity`.
        path: of its summary.
        job: the part that workers need.
        done: its finished runs, see `ser.train.runs.scheduler.train_all`.
        error: the reason why it has no result, where a study goes on without it.
        summary: as written by `summarise`.
    """

    options: FitOptions
    setup: SplitData
    config: dict[str, Any]
    path: Path
    job: Job
    done: list[Run] = field(default_factory=list)
    error: SerError | None = None
    summary: Summary | FewshotSummary | None = None

    @property
    def name(self) -> str:
        return self.job.experiment

    @property
    def folds(self) -> list[Fold]:
        return self.setup.folds

    @property
    def runs(self) -> range:
        """The numbers of its runs."""
        return range(self.options.runs)

    @property
    def stamps(self) -> list[str]:
        """Those known before training; once there is a summary, also what its predictions tell."""
        return self.job.stamps if self.summary is None else self.summary.stamps

    @property
    def predictions(self) -> pd.DataFrame:
        """The predictions of all finished runs."""
        return pd.concat([run.predictions for run in self.done], ignore_index=True)

    @property
    def seconds(self) -> float:
        """The time that its runs were trained for."""
        return float(sum(run.record.seconds for run in self.done))

    @property
    def notes(self) -> list[str]:
        return notes_of(self.done)

    def sort(self) -> None:
        """Put the finished runs in the order of runs and folds."""
        order = {fold.name: number for number, fold in enumerate(self.folds)}
        self.done.sort(key=lambda run: (run.record.run, order[run.record.fold]))

    def reference(self, study: Path) -> dict[str, str]:
        """The name of the experiment and the path of its summary relative to the file of a study."""
        return {"experiment": self.name, "record": relative_path(study, self.path)}

    @property
    def numbers(self) -> Summary:
        """Its summary, where it is not a few-shot experiment."""
        assert isinstance(self.summary, Summary)
        return self.summary

    def summarise(
        self, *, part: bool = False, datasets: dict[str, CorpusNumbers] | UnsetType = UNSET
    ) -> Summary | FewshotSummary:
        """Write the summary of all runs, and return it.

        Args:
            part: true if the experiment is part of a study. A summary of more runs, from another study or command, is then
                left as it is.
            datasets: of a union of corpora, the numbers of each.
        """
        self.summary = self.make_summary(datasets)
        if not (part and self._has_more_runs()):
            self.summary = write_record(self.path, self.summary)
        return self.summary

    def make_summary(self, datasets: dict[str, CorpusNumbers] | UnsetType = UNSET) -> Summary | FewshotSummary:
        """The summary of all runs."""
        several = bool(self.setup.facts.get("source"))  # the labels of two corpora may not mean the same
        swapped = suspects(self.predictions, self.job.classes) if several else UNSET
        return summarise(self.finished(), notes=self.notes, suspects=swapped, datasets=datasets)

    def finished(self) -> FinishedExperiment:
        """All that the summary is made of."""
        return FinishedExperiment(
            experiment=self.name,
            command=self.options.command,
            config=self.config,
            data=self.setup.facts,
            stamps=self.stamps,
            runs=[run.record for run in self.done],
            predictions=self.predictions,
            classes=list(self.job.classes),
            started=self.options.started,
            seconds=self.seconds,
            device=self.job.device,
            folder=self.path.stem,
        )

    def _has_more_runs(self) -> bool:
        """True if there is a summary of the same experiment over more runs."""
        if not self.path.exists():
            return False
        there = read_record(self.path)
        if not isinstance(there, (Summary, FewshotSummary)) or there.config_hash != self.job.config_hash:
            return False
        return len({r.run for r in there.runs}) > len(self.runs)


def fit_experiment(data: Tensors, options: FitOptions) -> Experiment:
    """The experiment of `ser fit`: a recipe on one corpus. Everything is checked, nothing is written.

    Raises:
        ConfigError: an option is unknown or does not fit.
    """
    options = replace(options, scheme=scheme_of(data, options))
    recipe = make_recipe(options.head, **options.training, **kind_of(data))
    setup = split_data(data, options.protocol, options.fold_options, options.normalize, options.scheme)
    config = identity(recipe, options.seed, setup.facts, limit=options.limit, refit=options.refit)
    return make_experiment(setup, recipe, config, ["fit", data.dataset], options, setup.stamps)


def kind_of(data: Tensors) -> dict[str, str]:
    """The kind of target as an option of training; {} for classes."""
    return {} if data.target.kind == EMOTION else {"target": data.target.kind}


def make_experiment(
    setup: SplitData,
    recipe: Recipe,
    config: dict[str, Any],
    words: Sequence[str],
    options: FitOptions,
    stamps: Sequence[str],
    *,
    kind: type[Experiment] = Experiment,
    tuning: Recipe | None = None,
    balance: str = "none",
) -> Experiment:
    """Make an experiment of data under a protocol and a recipe.

    Args:
        config: the record's, see `ser.train.runs.identity.identity`.
        words: the first words of its name; head, protocol, scheme and hash follow.
        stamps: sentences that its record must carry; those of the recipe are added. What they say of the epoch that
            validation picks is left out where it picks none.
        tuning, balance: of its job.

    Raises:
        ConfigError: the device is not there, the head is to be saved and cannot be, or there are no frames to pool.
    """
    _refuse_pooling(recipe, setup.data)
    if options.save:
        check_saving(recipe, setup.folds)
    device = device_of(recipe, options.device)
    said = stamps if picks_epoch(recipe) else without_epoch(stamps)
    name, path = name_and_file(
        options.workspace, options.output, name_words(words, recipe.head, setup.protocol, options), config
    )
    job = Job(
        data=setup.data,
        recipe=recipe,
        normalize=options.normalize,
        limit=options.limit,
        seed=options.seed,
        device=device,
        experiment=name,
        config_hash=config_hash(config),
        stamps=[*said, *stamps_of(recipe, sampled=balance != "none")],
        folder=path.with_suffix(""),
        refit=options.refit,
        save=options.save,
        tuning=tuning,
        balance=balance,
    )
    command = with_stores(options.command, [(block.name, block.modality) for block in setup.data.blocks])
    return kind(replace(options, command=command), setup, config, path, job)


def check_saving(recipe: Recipe, folds: Sequence[Fold]) -> None:
    """Refuse to save heads that cannot be saved, or that would be taken for final ones, by a ConfigError."""
    if isinstance(recipe, Classical):
        check_savable(recipe)
    if any(fold.name == ALL_ROWS for fold in folds):
        raise ConfigError(
            f"a fold is called {ALL_ROWS}, which is the name of heads that were trained on all utterances",
            action="Give it another name in the file of folds, or in the table.",
        )


def _refuse_pooling(recipe: Recipe, data: Tensors) -> None:
    """Refuse a pooling of features that are pooled already, which would be ignored."""
    kind = None if isinstance(recipe, Classical) else recipe.head_options.get("pooling")
    if kind in POOLINGS and not any(block.framewise for block in data.blocks):
        raise ConfigError(
            f"head option pooling={kind} pools frames, and the features of {data.dataset} are one vector for each utterance",
            expected="a store of frames",
            found=", ".join(block.name for block in data.blocks),
            action="Extract frames (ser extract --level frame) and name their store, or leave the option out.",
            option="head_options.pooling",
        )


def name_words(words: Sequence[str], head: str, protocol: str, options: FitOptions) -> list[str]:
    """The words of an experiment's or a study's name, without its hash."""
    target = "-".join(parse_target(options.target).text.split(","))
    classes = target.split("-")[0] in ("emotion", "votes", "labels")
    scheme = [Path(options.scheme).stem] if classes else []
    return [*words, head, *([target] if target != EMOTION else []), protocol, *scheme]
