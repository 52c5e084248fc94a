"""The promises of a few-shot method: probabilities of each run, from the labels of the shots alone; and that it learns."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

from ser.checks import Promises, hold
from ser.checks.heads import CLASSES, blocks
from ser.features.tensors import Tensors
from ser.metadata.table import Table
from ser.metadata.targets import EMOTION, TARGETS
from ser.registry import names
from ser.train.fewshot.methods._base import Answer, Rows, Task, method
from ser.train.fewshot.shots import Amount, subsets
from ser.train.loop.config import Config, make_config
from ser.train.loop.learner import Learner

# Of the 150 utterances of `ser.checks.heads.blocks`: a source corpus, and the target's training and test part.
SOURCE, TRAIN, TEST = np.arange(60), np.arange(60, 110), np.arange(110, 150)
LABELS = np.arange(150) % CLASSES
SEEDS = (11, 22, 33)
SHOTS = 12  # of each class
_TRAINED: dict[tuple[bytes, tuple[int, ...]], list[Tensor]] = {}  # labels and seeds -> the weights of source models


class Setting(NamedTuple):
    """A method's task: with source models or without, and the labels of the rows."""

    with_source: bool = True
    labels: Rows = LABELS


def config() -> Config:
    """A small head, of which the last epoch is taken."""
    given = {"epochs": 30, "lr": 5e-3, "selection": "last", "patience": 0, "head_options": {"hidden": 16}}
    return make_config("mlp", **given)


def task(setting: Setting, seeds: Sequence[int] = SEEDS) -> Task:
    """A fold of the target with a source model for each run."""
    data, learner = _data(setting)
    if not setting.with_source:
        return Task(data, learner, learner, None, SOURCE[:0], TRAIN, TEST)
    key = setting.labels.tobytes(), tuple(seeds)
    if key not in _TRAINED:  # every promise asks for them
        _TRAINED[key] = learner.weights(learner.train(SOURCE, SOURCE[:0], seeds))
    return Task(data, learner, learner, [w.clone() for w in _TRAINED[key]], SOURCE, TRAIN, TEST)


def _data(setting: Setting) -> tuple[Tensors, Learner]:
    unknown = dict.fromkeys(("valence", "arousal", "dominance"), np.nan)
    ids = [f"u{k}" for k in range(len(LABELS))]
    frame = pd.DataFrame({"utterance_id": ids, "speaker": "", **unknown})
    names_of = tuple(f"class {k}" for k in range(CLASSES))
    data = Tensors("made", frame, setting.labels, names_of, (blocks()["pooled"],), Table(frame, "made"), {}, {})
    return data, Learner(data, config())


def shots(seeds: Sequence[int] = SEEDS) -> Rows:
    """The shots of each run, `(runs, m)`."""
    amount = Amount(shots=SHOTS)
    return np.stack([subsets(LABELS, TRAIN, [amount], seed)[amount] for seed in seeds])


def promises(name: str) -> Promises:
    """The promises of a method, from source models and without, as far as it takes both."""
    plugin = method(name)
    found: Promises = {"its facts are there": partial(states_facts, name)}
    if EMOTION not in getattr(plugin, "TARGETS", (EMOTION,)):
        return found
    for words, setting in (("with a source", Setting()), ("without a source", Setting(with_source=False))):
        if setting.with_source or not plugin.NEEDS_SOURCE:
            found |= {
                f"{words}: each run has a probability of each class for each test row": partial(answers, name, setting),
                f"{words}: so too where a class has no shots": partial(answers_without_a_class, name, setting),
                f"{words}: labels of other rows of the target change nothing": partial(sees_the_shots, name, setting),
                f"{words}: a run is itself alone or among others": partial(runs_are_themselves, name, setting),
                f"{words}: it learns what is easy": partial(learns, name, setting),
            }
    return found


def states_facts(name: str) -> None:
    """The constants of the file."""
    plugin = method(name)
    for fact in ("FROM_SOURCE", "NEEDS_SOURCE", "READS_EMBEDDING"):
        value = getattr(plugin, fact)
        hold(isinstance(value, bool), f"{fact}; expected True or False; found {value!r}")
    strange = [kind for kind in getattr(plugin, "TARGETS", ()) if kind not in names(TARGETS)]
    hold(not strange, f"TARGETS; expected some of {', '.join(names(TARGETS))}; found {', '.join(map(repr, strange))}")


def _learn(name: str, given: Task, rows: Rows, seeds: Sequence[int] = SEEDS) -> Answer:
    answer: Answer = method(name).learn(given, rows, list(seeds))
    return answer


def answers(name: str, setting: Setting, rows: Rows | None = None) -> None:
    """Probabilities `(runs, test rows, classes)` whose sum is 1, and an account and seconds of each run."""
    found = _learn(name, task(setting), shots() if rows is None else rows)
    shape = (len(SEEDS), len(TEST), CLASSES)
    hold(found.probabilities.shape == shape, f"expected the shape {shape}; found {found.probabilities.shape}")
    hold(np.isfinite(found.probabilities).all(), "a probability is not finite")
    low, high = found.probabilities.min(), found.probabilities.max()
    hold(low >= 0 and high <= 1 + 1e-6, f"expected probabilities from 0 to 1; found {low:.3g} to {high:.3g}")
    far = np.abs(found.probabilities.sum(-1) - 1).max()
    hold(far < 1e-4, f"expected probabilities whose sum is 1; found a sum that differs by {far:.3g}")
    for what in ("account", "seconds"):
        count = len(getattr(found, what))
        hold(count == len(SEEDS), f"{what}; expected one of each run: {len(SEEDS)}; found {count}")


def answers_without_a_class(name: str, setting: Setting) -> None:
    """The same from shots of all classes but the last."""
    rows = shots()
    kept = LABELS[rows] != CLASSES - 1
    answers(name, setting, np.stack([own[keep] for own, keep in zip(rows, kept, strict=True)]))


def sees_the_shots(name: str, setting: Setting) -> None:
    """The answer is the same where all rows of the target but the shots have another label."""
    rows = shots()[:1].repeat(len(SEEDS), axis=0)
    others = np.setdiff1d(np.concatenate([TRAIN, TEST]), rows)
    labels = LABELS.copy()
    labels[others] = (labels[others] + 1) % CLASSES
    own, other = (_learn(name, task(s), rows).probabilities for s in (setting, setting._replace(labels=labels)))
    far = np.abs(own - other).max()
    hold(far < 1e-6, f"it reads labels that it must not: the probabilities differ by {far:.3g}")


def runs_are_themselves(name: str, setting: Setting) -> None:
    """Each run alone has the probabilities that it has among three, to rounding."""
    rows, together = shots(), _learn(name, task(setting), shots()).probabilities
    for k, seed in enumerate(SEEDS):
        alone = _learn(name, task(setting, [seed]), rows[k : k + 1], [seed]).probabilities[0]
        far = np.abs(alone - together[k]).max()
        hold(far < 1e-4, f"run {k} alone has other probabilities than among {len(SEEDS)}: they differ by {far:.3g}")


def learns(name: str, setting: Setting) -> None:
    """Twelve shots of each of four well separated classes are enough for a mean accuracy above 0.8."""
    found = _learn(name, task(setting), shots()).probabilities.argmax(-1)
    right = float((found == LABELS[TEST]).mean())
    hold(right > 0.8, f"expected an accuracy above 0.8 from {SHOTS} shots of each of four easy classes; found {right:.2f}")
