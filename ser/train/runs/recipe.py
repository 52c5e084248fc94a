"""The recipe of a head, which is a neural or a classical configuration, and the learner that goes with it."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from ser.accelerator import device_here
from ser.features.tensors import Tensors
from ser.train.classical.classifier import Classical, is_classical, make_classical
from ser.train.classical.learner import ClassicalLearner
from ser.train.loop.config import Config, make_config
from ser.train.loop.learner import Learner

Recipe: TypeAlias = Config | Classical
Learns: TypeAlias = Learner | ClassicalLearner


def make_recipe(head: str, **given: Any) -> Recipe:
    """Make the recipe of a head: its own defaults, replaced by the given options (None counts as not given).

    Raises:
        ConfigError: an unknown head or option, or a value outside of its range.
    """
    if is_classical(head):
        return make_classical(head, **given)
    options = given.get("head_options")
    if isinstance(options, Mapping):
        given["head_options"] = {name: _option(value) for name, value in options.items()}
    return make_config(head, **given)


def _option(value: Any) -> Any:
    """An option of a neural head as its plugin reads it: `[512, 256]` is `512,256`, as on the command line."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def learner_of(data: Tensors, recipe: Recipe, device: str = "cpu") -> Learns:
    """The learner of a recipe on (normalised) tensors."""
    return ClassicalLearner(data, recipe) if isinstance(recipe, Classical) else Learner(data, recipe, device_here(device))


def again(learner: Learns, recipe: Recipe) -> Learns:
    """A learner for another recipe of the same head, on the same features, which are not copied."""
    return learner.under(recipe) if isinstance(learner, Learner) and isinstance(recipe, Config) else learner


def picks_epoch(recipe: Recipe) -> bool:
    """True if validation picks the epoch: not of a classical head, which has none, nor where the last one is taken."""
    return isinstance(recipe, Config) and recipe.selection != "last"


def stamps_of(recipe: Recipe, sampled: bool = False) -> list[str]:
    """Stamps of a recipe: sentences that a result of this head must carry.

    Args:
        sampled: training rows are drawn at random, so that runs differ even where a classifier draws nothing.
    """
    return recipe.stamps(sampled) if isinstance(recipe, Classical) else []
