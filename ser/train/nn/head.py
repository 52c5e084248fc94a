"""What a head is, and how a plugin in `ser/train/heads/` offers one.

A plugin is one file: a docstring that opens with what it is and who published it, `DEFAULTS` (training options that suit
it, beaten by the command line) and a class `Head(nn.Module)`:

    def __init__(self, inputs: list[Input], classes: int, **options) -> None
    def forward(self, batch: dict[str, Feature]) -> Tensor          # logits (runs, batch, classes)
    def embed(self, batch: dict[str, Feature]) -> Tensor            # (runs, batch, E); where it has one, `forward` calls it
    def attends(self) -> Attends                                    # where it has attention: which store looks at which

`attends` names the stores of each attention layer, by its place among the head's modules, for pictures of what was attended to.

Losses on embeddings (supervised contrastive, prototypes) read what `embed` gave.

Built of `ser.train.nn.layers` it trains many runs at once. With `stackable = False` it may be any `nn.Module`: it then trains
one run at a time, and sees its features and gives its logits with a leading run dimension of 1.

A plugin with `PART = "mlp"` instead of a class trains that head on each modality by itself and joins their predictions
with its function `combine(probabilities)`.
"""

import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ser import registry
from ser.errors import ConfigError, TrainingError
from ser.train.nn.layers import Dropout, Feature, Input, Linear

HEADS = "ser.train.heads"
Attends = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]  # module -> stores of its queries, and of its keys
_INITIALISING = threading.Lock()  # torch.nn draws initial weights from the global stream of the process


def plugin(name: str) -> ModuleType:
    """The head plugin of that name."""
    return registry.load(HEADS, name)


def part_of(name: str) -> str:
    """The head that is trained: the plugin itself, or the part that a late fusion trains on each modality."""
    return str(getattr(plugin(name), "PART", name))


def options_of(name: str) -> dict[str, Any]:
    """A head's own options and their defaults."""
    signature = inspect.signature(plugin(part_of(name)).Head.__init__)
    return {
        n: p.default
        for n, p in signature.parameters.items()
        if p.default is not inspect.Parameter.empty and p.kind is not inspect.Parameter.VAR_KEYWORD
    }


def build(name: str, inputs: list[Input], classes: int, options: dict[str, Any], seed: int) -> nn.Module:
    """A head for one run with its initial weights, drawn from the given seed alone.

    Raises:
        ConfigError: an option that the head does not have.
        TrainingError: inputs that the head cannot take.
    """
    known = options_of(name)
    strange = sorted(set(options) - set(known))
    if strange:
        raise registry.unknown(f"option of head {name}:", strange[0], sorted(known))
    with drawing(seed):
        head = plugin(name).Head(inputs, classes, **options)
    assert isinstance(head, nn.Module)
    return head


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Initial weights drawn within come from this seed alone, and leave the process's global stream as it was."""
    with _INITIALISING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def is_stackable(head: nn.Module) -> bool:
    return bool(getattr(head, "stackable", True))


def sizes(option: str | tuple[int, ...] | list[int] | int) -> tuple[int, ...]:
    """Layer sizes from an option: `512,256`, a number, or a sequence; `0` or an empty one is none."""
    if isinstance(option, int):
        option = (option,)
    if isinstance(option, str):
        try:
            option = tuple(int(v) for v in option.split(",") if v.strip())
        except ValueError:
            raise ConfigError(
                "sizes of hidden layers", expected="numbers such as 512,256", found=repr(option)
            ) from None
    return tuple(int(v) for v in option if int(v) > 0)


class Classifier(nn.Module):
    """Linear, ReLU, dropout for each hidden size, then linear to the classes: `(runs, batch, inputs)` -> logits."""

    def __init__(self, inputs: int, classes: int, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        widths = (inputs, *hidden)
        self.hidden = nn.ModuleList(Linear(a, b) for a, b in pairwise(widths))
        self.dropout = Dropout(dropout)
        self.output = Linear(widths[-1], classes)

    def embed(self, x: Tensor) -> Tensor:
        """The last hidden layer, before its dropout, `(runs, batch, last hidden size)`."""
        for k, layer in enumerate(self.hidden):
            x = torch.relu(layer(self.dropout(x) if k else x))
        return x

    def classify(self, embedding: Tensor) -> Tensor:
        """What `forward` does after `embed`."""
        out: Tensor = self.output(self.dropout(embedding) if len(self.hidden) else embedding)
        return out

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.embed(x))


def others(stores: list[str], k: int) -> tuple[str, ...]:
    """All stores but the k-th."""
    return tuple(stores[:k] + stores[k + 1 :])


def require(inputs: list[Input], head: str, fits: bool, what: str) -> None:
    """Refuse inputs that a head cannot take.

    Raises:
        TrainingError: naming what it takes and what it was given.
    """
    if not fits:
        found = ", ".join(f"{i.name} ({i.modality}, {'frames' if i.framewise else 'pooled'})" for i in inputs)
        raise TrainingError(f"head {head} cannot take these features", expected=what, found=found)


__all__ = ["Classifier", "Feature", "Input", "build", "drawing", "is_stackable", "options_of", "plugin", "require"]
