"""A head's configuration, neural or classical, and the learner that goes with it: the one place that knows both kinds."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.features.tensors import Tensors
from ser.train.classical.classifier import Classical, is_classical, make_classical
from ser.train.classical.learner import ClassicalLearner, refuse_views, refuse_words
from ser.train.loop.config import Config, make_config
from ser.train.loop.data import Trained
from ser.train.loop.dialogues import resident_of
from ser.train.loop.learner import Learner
from ser.train.runs import executor

Recipe: TypeAlias = Config | Classical
Rows = NDArray[np.int64]


class Learns(Protocol):
    """What an experiment asks of a learner; see `ser.train.loop.learner.Learner`."""

    def train(
        self,
        rows: Rows,
        validation: Rows,
        seeds: Sequence[int],
        start: list[Any] | None = None,
        *,
        unlabelled: Rows | None = None,
        oracle: Rows | None = None,
    ) -> list[list[Trained]]: ...

    def retrain(
        self,
        rows: Rows,
        seeds: Sequence[int],
        parts: list[list[Trained]],
        start: list[Any] | None = None,
        *,
        unlabelled: Rows | None = None,
    ) -> list[list[Trained]]: ...

    def weights(self, parts: list[list[Trained]]) -> list[Any]: ...

    def predict(self, weights: list[Any], rows: Rows) -> NDArray[np.float64]: ...

    def merge(self, parts: list[list[Trained]]) -> list[Trained]: ...

    def account(self, trained: Trained, refitted: bool) -> dict[str, Any]: ...


def make_recipe(head: str, **given: Any) -> Recipe:
    """The configuration of a head: its own defaults, beaten by what is given (None is not given).

    Raises:
        ConfigError: an unknown head or option, or a value outside of its range.
    """
    return make_classical(head, **given) if is_classical(head) else make_config(head, **given)


def learner_of(data: Tensors, recipe: Recipe, device: str = "cpu") -> Learns:
    """The learner of a configuration on (normalised) tensors."""
    return ClassicalLearner(data, recipe) if isinstance(recipe, Classical) else Learner(data, recipe, device)


def again(learner: Learns, recipe: Recipe) -> Learns:
    """A learner of another configuration of the same head, on the same features where they lie."""
    return learner.under(recipe) if isinstance(learner, Learner) and isinstance(recipe, Config) else learner


def device_of(recipe: Recipe, device: str) -> str:
    """Where to train; scikit-learn's classifiers are fitted on the CPU.

    Raises:
        ConfigError: another device is asked for than can be used.
    """
    if not isinstance(recipe, Classical):
        return executor.pick_device(device)
    if device not in ("auto", "cpu"):
        raise ConfigError(f"--device {device} means nothing to head {recipe.head}", expected="auto or cpu")
    return "cpu"


def stack_of(recipe: Recipe, data: Tensors, runs: int, device: str, stack: int | None, rows: Sequence[int]) -> int:
    """How many runs to train together; `stack` where it is given. `rows` are those of the folds' training parts.

    Raises:
        ConfigError: `stack` or word ids with a classical head, or a stack of what trains one run at a time.
    """
    if isinstance(recipe, Classical):
        if stack is not None:
            raise ConfigError(f"--stack means nothing to head {recipe.head}")
        refuse_words(data.blocks, recipe.head)
        refuse_views(data, recipe.head)
        return 1 if recipe.random else runs
    inputs = resident_of(data, data.blocks, recipe).inputs
    return executor.stack_size(
        recipe, inputs, len(data.classes), runs, device, rows=max(rows), folds=len(rows), asked=stack
    )


def stamps_of(recipe: Recipe) -> list[str]:
    """Sentences that a result of this head must carry."""
    return recipe.stamps if isinstance(recipe, Classical) else []
