"""What few-shot methods share before anything is trained: data and folds, what was asked for, and each method's record."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ser.audit.split_data import SplitData, split_data
from ser.errors import ConfigError
from ser.features.normalise import normalise
from ser.metadata.folds.fold import Fold, FoldOptions
from ser.results.records import record
from ser.train.classical.classifier import Classical
from ser.train.fewshot.job import Job
from ser.train.fewshot.shots import Amount
from ser.train.runs import identity as identities
from ser.train.runs.experiment import FitOptions, load
from ser.train.runs.recipe import Recipe, device_of, make_recipe
from ser.train.runs.source_target import prepare_pair
from ser.workspace import Workspace

PLAIN = "finetune"  # the method whose record is called after the command alone
OWN = "normalised by all of the target's training part, of which only the stated share has labels"


@dataclass(frozen=True, eq=False)
class Asked:
    """What is to be learned.

    Attributes:
        config: of the source model.
        tuning, fresh: of fine-tuning, and of training from random weights.
        amounts: of target data.
        speaker_aware: whether one speaker is used up before the next.
        options: of the experiment.
    """

    config: Recipe
    tuning: Recipe
    fresh: Recipe
    amounts: list[Amount]
    speaker_aware: bool
    options: FitOptions


@dataclass(frozen=True, eq=False)
class Ground:
    """Data and folds.

    Attributes:
        setup: data (source and target joined where there is a source), folds of the target, facts, stamps.
        first: training on the source; None without one.
    """

    setup: SplitData
    first: Fold | None


@dataclass(frozen=True, eq=False)
class Curve:
    """One method's experiment: its name, the record's `config`, and the file of its summary."""

    method: str
    name: str
    asked: dict[str, Any]
    path: Path


def recipes(config: Recipe, source: str | None, epochs: int, lr_factor: float, freeze: str) -> tuple[Recipe, Recipe]:
    """How a head goes on from a source model, gently, and how it learns from shots alone, in full.

    Raises:
        ConfigError: a number out of its range, or an encoder to be kept where none is trained before.
    """
    if epochs < 1:
        raise ConfigError(f"tune_epochs = {epochs}", expected="1 or more")
    if not 0 < lr_factor < float("inf"):
        raise ConfigError(f"lr_factor = {lr_factor}", expected="above 0")
    if source is None and freeze != "none":
        raise ConfigError(f"freeze = {freeze} without a source", expected="a source, whose encoder is then kept")
    if isinstance(config, Classical):
        return config, config
    fresh = replace(config, selection="last", patience=0)
    if source is None:
        return fresh, fresh
    return make_recipe(**{**fresh.as_dict(), "epochs": epochs, "lr": config.lr * lr_factor, "freeze": freeze}), fresh


def lay_ground(target: str, source: str | None, space: Workspace, options: FitOptions) -> Ground:
    """Load the corpora, over the classes that both have, and lay out the target's folds."""
    if source is not None:
        pair = prepare_pair(source, target, space, options)
        return Ground(pair.setup, pair.first)
    data = load(target, space, options)
    setup = split_data(data, options.protocol, options.folds or FoldOptions(), options.normalize, options.scheme)
    facts = {
        "source": None,
        "target": target,
        "scheme": options.scheme,
        "protocol": setup.protocol,
        "normalize": options.normalize,
        "datasets": {target: setup.facts},
    }
    stamps = setup.stamps + ([OWN] if options.normalize == "train" else [])
    return Ground(replace(setup, facts=facts, stamps=stamps), None)


def identity(ground: Ground, asked: Asked) -> dict[str, Any]:
    """The `config` of all methods' records."""
    return identities.identity(
        asked.config,
        asked.options.seed,
        *ground.setup.facts["datasets"].values(),
        limit=asked.options.limit,
        tuning=asked.tuning.as_dict(),
        percentages=[a.percentage for a in asked.amounts if a.shots is None],
        shots=[a.shots for a in asked.amounts if a.shots is not None],
        speaker_aware=asked.speaker_aware,
    )


def place(
    first: str, ground: Ground, asked: Asked, space: Workspace, what: dict[str, Any], output: Path | str | None
) -> tuple[str, Path]:
    """Name and file of a record."""
    facts = ground.setup.facts
    pair = [facts[key] for key in ("source", "target") if facts[key]]
    words = [first, *pair, asked.config.head, ground.setup.protocol, Path(asked.options.scheme).stem]
    return identities.place(space, output, words, what)


def curves_of(methods: Sequence[str], ground: Ground, asked: Asked, space: Workspace) -> list[Curve]:
    """Each method's experiment."""
    found = []
    for method in methods:
        what = {**identity(ground, asked), "method": method}
        first = "fewshot" if method == PLAIN else f"fewshot-{method}"
        output = asked.options.output if len(methods) == 1 else None
        name, path = place(first, ground, asked, space, what, output)
        found.append(Curve(method, name, what, path))
    return found


def make_job(ground: Ground, asked: Asked, curves: Sequence[Curve]) -> Job:
    """Normalise the features, unless each fold has statistics of its own, and say what workers are to do.

    Raises:
        ConfigError: speaker-aware shots where speakers are not known.
    """
    data, first, options = ground.setup.data, ground.first, asked.options
    used = np.concatenate([f.train for f in ground.setup.folds])
    if asked.speaker_aware and (data.frame["speaker"].to_numpy()[used] == "").any():
        raise ConfigError(f"{ground.setup.facts['target']}: speaker-aware shots need the speaker of every utterance")
    each_fold = first is None and options.normalize == "train"
    if not each_fold:
        data = normalise(data, options.normalize, used if first is None else first.train, options.limit)[0]
    return Job(
        data=data,
        each_fold=(options.normalize, options.limit) if each_fold else None,
        first=first,
        config=asked.config,
        tuning=asked.tuning,
        fresh=asked.fresh,
        amounts=asked.amounts,
        speaker_aware=asked.speaker_aware,
        seed=options.seed,
        device=device_of(asked.config, options.device),
        folds=len(ground.setup.folds),
        names={c.method: (c.name, record.config_hash(c.asked)) for c in curves},
    )
