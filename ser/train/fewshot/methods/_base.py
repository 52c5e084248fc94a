"""A few-shot method: the task that it is given, its answer, and how a plugin in `ser/train/fewshot/methods/` offers one.

A plugin is one file: a docstring that opens with a description and its source, and

    FROM_SOURCE = True      # it uses the source model where there is one; its curve then begins with the zero-shot point
    NEEDS_SOURCE = False    # it means nothing without a source
    READS_EMBEDDING = True  # it works on embeddings, not by training the head
    SKLEARN = True          # it fits by scikit-learn, which threads of one process do one after another; may be left out
    TARGETS = ("emotion", "votes")  # the kinds that it learns (`ser.metadata.targets`); of votes it may read the label

    def learn(task: Task, shots: Rows, seeds: Sequence[int]) -> Answer

`learn` sees the labels of the shots, rows `(runs, m)`, and of no other row of the target.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from ser import registry
from ser.errors import ConfigError, SerError
from ser.features.tensors import Tensors
from ser.metadata.targets import EMOTION, VOTES, in_words
from ser.train.classical.classifier import is_classical
from ser.train.classical.learner import pooled
from ser.train.heads._base import require_embedding
from ser.train.loop.data import Account
from ser.train.loop.learner import Learner
from ser.train.runs.divergence import strange
from ser.train.runs.recipe import Learns

METHODS = "ser.train.fewshot.methods"
Rows = NDArray[np.int64]
Array = NDArray[np.float64]


@dataclass(eq=False)
class Task:
    """One fold of the target, for a stack of runs.

    Attributes:
        data: normalised tensors, of the source and the target joined where there is a source.
        learner: of the configuration of fine-tuning, on these tensors.
        fresh: of the configuration of training from random weights, the last epoch being taken.
        weights: of the source models, as `learner` takes them; None without a source.
        base: training rows of the source; none without one.
        train: all training rows of the fold.
        test: its test rows.
    """

    data: Tensors
    learner: Learns
    fresh: Learns
    weights: list[Any] | None
    base: Rows
    train: Rows
    test: Rows

    @property
    def classes(self) -> int:
        return len(self.data.classes)

    def embedding(self, rows: Rows) -> Array:
        """Vectors of training or test rows of the fold, `(runs, m, E)`.

        They are the head's `embed` under the weights of each run's source model; without a source the pooled, normalised
        features, `(1, m, E)` for rows `(m,)`.

        Args:
            rows: `(m,)`, or `(runs, m)` for rows of each run's own.
        """
        where = self._places[rows]
        if where.ndim == 1:
            return self._vectors[:, where]
        runs = np.arange(len(where)) if len(self._vectors) > 1 else np.zeros(len(where), dtype=np.int64)
        return self._vectors[runs[:, None], where]

    @cached_property
    def centre(self) -> Array:
        """Mean of the source's training part in the space of `embedding`, `(runs, 1, E)`; 0 without a source."""
        if self.weights is None:
            return np.zeros((1, 1, 1))
        return np.asarray(self._embed(self.base).mean(axis=1, keepdims=True))

    @cached_property
    def _places(self) -> Rows:
        places = np.full(len(self.data.labels), -1, dtype=np.int64)
        places[self._used] = np.arange(len(self._used))
        return places

    @cached_property
    def _vectors(self) -> Array:
        return self._embed(self._used)

    @property
    def _used(self) -> Rows:
        return np.concatenate([self.train, self.test])

    def _embed(self, rows: Rows) -> Array:
        if self.weights is None:
            return pooled(self.data.blocks)[rows][None]
        assert isinstance(self.learner, Learner)
        return self.learner.embed(self.weights, rows)


@dataclass(eq=False)
class Answer:
    """The predictions of a method for the test rows.

    Attributes:
        probabilities: `(runs, test rows, classes)`.
        account: the record's account of the learning of each run (`selection` and the like).
        seconds: of each run.
        notes: of each run, what a reader must know.
        errors: of each run, why it has no result where it diverged.
    """

    probabilities: Array
    account: list[Account]
    seconds: list[float]
    notes: list[list[str]] = field(default_factory=list)
    errors: Sequence[SerError | None] = ()

    def error(self, slot: int) -> SerError | None:
        """The error of a run that has no result; None where it has one."""
        return (self.errors[slot] if self.errors else None) or strange(self.probabilities[slot])


def method(name: str) -> ModuleType:
    """The plugin of that name."""
    return registry.load(METHODS, name)


def check_methods(names: Sequence[str], head: str, source: str | None, context: str, target: str = EMOTION) -> list[str]:
    """The methods that a user named, each once.

    Raises:
        ConfigError: none, an unknown one, or one that does not go with this head, this source or this kind of target.
    """
    if is_classical(head) and source is not None:
        raise ConfigError(f"{head} cannot be fine-tuned from {source}", expected="a neural head, or no source")
    found = list(dict.fromkeys(registry.resolve(METHODS, name) for name in names))
    if not found:
        raise ConfigError("no few-shot method is named", expected=f"one of {', '.join(registry.names(METHODS))}")
    for name in found:
        plugin = method(name)
        kinds = getattr(plugin, "TARGETS", (EMOTION, VOTES))
        if target not in kinds:
            others = [n for n in registry.names(METHODS) if target in getattr(method(n), "TARGETS", ())]
            raise ConfigError(
                f"method {name} does not learn {in_words(target)}",
                expected=f"a target of {', '.join(kinds)}" + (f"; or of the methods {', '.join(others)}" if others else ""),
            )
        if plugin.NEEDS_SOURCE and source is None:
            raise ConfigError(f"method {name} means nothing without a source", action="Take finetune, or add --source.")
        if plugin.READS_EMBEDDING and source is not None:
            require_embedding(head, f"method {name}")
        if plugin.READS_EMBEDDING and context == "dialogue":
            raise ConfigError(f"method {name} with context dialogue", expected="context utterance")
    return found


def trained(learner: Learns, task: Task, shots: Rows, seeds: Sequence[int], start: list[Any] | None) -> Answer:
    """The head itself, trained on the shots without a validation part.

    Args:
        learner: `task.learner` or `task.fresh`.
        start: weights to begin with; None: random ones.
    """
    parts = learner.train(shots, task.test[:0], seeds, start)
    merged = learner.merge(parts)
    return Answer(
        learner.predict(learner.weights(parts), task.test),
        [learner.account(t, False) for t in merged],
        [t.seconds for t in merged],
        [t.notes for t in merged],
        [t.error for t in merged],
    )


def nearest_centroid(task: Task, shots: Rows, transform: Any = None) -> Answer:
    """Probabilities by squared Euclidean distance to the mean of each class's shots, softmax(-d^2); 0 for a class without.

    Args:
        transform: applied to vectors `(runs, m, E)` first.
    """
    begin = time.perf_counter()
    known, test = task.embedding(shots), task.embedding(task.test)
    if transform is not None:
        known, test = transform(known), transform(test)
    labels, found = task.data.labels[shots], []
    for run, own in enumerate(known):
        logits = np.full((len(task.test), task.classes), -np.inf)
        here = test[run if len(test) > 1 else 0]
        for c in np.unique(labels[run]):
            logits[:, c] = -np.square(here - own[labels[run] == c].mean(axis=0)).sum(axis=1)
        found.append(softmax(logits, axis=1))
    seconds = (time.perf_counter() - begin) / len(known)
    runs = range(len(known))
    return Answer(np.stack(found), [{"selection": "nothing is chosen"} for _ in runs], [seconds for _ in runs])
