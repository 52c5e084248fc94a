"""The contract of a head plugin: one file in this folder, whose name is the head's name.

The file opens with a docstring (what the head is, who published it, its shapes, how it differs from the paper) and holds

    DEFAULTS = {"lr": 1e-3}                      # training options that suit it; the command line overrides them
    TAKES = Takes(("frames",), ("audio",))       # the features it takes; without it, features of any kind
    POOLS_FIRST = True                           # frames are pooled before any weight or draw: once, before training

    class Head(nn.Module):
        def __init__(self, inputs: list[Input], classes: int, **options) -> None
        def forward(self, batch: Features) -> Tensor     # logits (runs, batch, classes)
        def embed(self, batch: Features) -> Tensor       # (runs, batch, E); where it has one, `forward` calls it
        def attends(self) -> Attends                     # where it has attention: stores of queries and of keys

A head whose logits are one linear layer on its embedding may be an `EmbeddingHead`, which has `forward`.

`batch[name]` is the `ser.train.nn.layers.Feature` of the store `name`: `values`, `(runs, batch, D)` or with frames
`(runs, batch, frames, D)`, and `mask`, `(runs, batch, frames)`, true where a frame is real (None without frames). A store of
several layers has `(runs, batch, layers, D)`, one of words their numbers: `ser.train.nn.layers.Enter` makes vectors of both
and leaves all else. What is in the padding must not show in the logits: `ser.train.nn.pooling.make_pooling` makes one vector
of frames without it, in one of the ways that the option `pooling` of every head that reads frames names.

Losses on embeddings, domain adaptation and fine-tuning without the encoder work on `embed`. `attends` names the
stores of each attention layer, by its place among the head's modules, for pictures of attention.

A head built of `ser.train.nn.layers` trains many runs at once. With `stackable = False` in its class it may be any `nn.Module`:
it then trains one run at a time, and sees its features and gives its logits with a leading run dimension of 1. Start with that.

A plugin with `PART = "mlp"` in place of a class trains that head on each modality by itself and joins their predictions
with its function `combine(probabilities)`.

`tests/train/heads/test_every_head.py` tests each plugin: `pytest tests/train/heads -k NAME`.
"""

import inspect
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from ser import registry
from ser.errors import ConfigError, SerError, TrainingError
from ser.train.nn import streams
from ser.train.nn.layers import Features, Input

AnyStore = TypeVar("AnyStore")  # its features, or the facts of them
HEADS = "ser.train.heads"
KINDS = ("pooled", "frames", "words")
# Options that heads got after experiments had been recorded: at its default, one is not in a configuration, whose hash is a
# part of their names.
LATER = ("pooling",)
MOST_TENSORS = 2_000  # of a head's weights
MOST_NUMBERS = 2**28  # of a head's weights: 1 GiB, and training holds five times that; the largest head has 11 million
_COUNTED: dict[tuple[Any, ...], tuple[int, int]] = {}  # a head with its options -> its weights, and these with statistics


@dataclass(frozen=True)
class Takes:
    """The features that a head takes.

    Attributes:
        kinds: of each store: `pooled` (one vector for each utterance, or one for each layer of the encoder), `frames` (a
            sequence of vectors), `words` (a sequence of word-piece ids).
        modalities: of each store; () for any.
        needs: modalities of which there has to be a store.
        one_each: there is at most one store of a modality.
        most: stores; None for any number.
        example: a store's name, for messages.
    """

    kinds: tuple[str, ...] = KINDS
    modalities: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    one_each: bool = False
    most: int | None = None
    example: str = ""

    def fits(self, inputs: list[Input]) -> bool:
        """True for stores that a head may be built on."""
        found = [i.modality for i in inputs]
        return (
            bool(inputs)
            and all(kind_of(i) in self.kinds for i in inputs)
            and all(not self.modalities or m in self.modalities for m in found)
            and all(m in found for m in self.needs)
            and not (self.one_each and len(set(found)) < len(found))
            and not (self.most is not None and len(inputs) > self.most)
        )

    def __str__(self) -> str:
        """State the features in words, for an error message.

        >>> str(Takes(("frames",), ("audio",), most=1, example="logmel"))
        'one store of audio frames, such as logmel'
        """
        number = "one store" if self.most == 1 else "at most one store of each modality:" if self.one_each else "stores"
        what = " or ".join(self.kinds) + (" features" if "pooled" in self.kinds else "")
        whose = " or ".join(self.modalities) + " " if self.modalities else ""
        needed = f", {' and '.join(self.needs)} among them" if self.needs else ""
        such = f", such as {self.example}" if self.example else ""
        return f"{number}{'' if self.one_each else ' of'} {whose}{what}{needed}{such}"


class EmbeddingHead(nn.Module):
    """The base of heads whose logits are one linear layer on their embedding: `output`, after `dropout`."""

    dropout: nn.Module
    output: nn.Module

    def embed(self, batch: Features) -> Tensor:
        """What `output` reads, `(runs, batch, E)`."""
        raise NotImplementedError

    def forward(self, batch: Features) -> Tensor:
        out: Tensor = self.output(self.dropout(self.embed(batch)))
        return out


def kind_of(source: Input) -> str:
    """The kind of a store's features: `pooled`, `frames` or `words`."""
    return ("words" if source.vocabulary else "frames") if source.framewise else "pooled"


def plugin(name: str) -> ModuleType:
    """The head plugin of that name."""
    return registry.load(HEADS, name)


def part_of(name: str) -> str:
    """The head that is trained: the plugin itself, or the part that a late fusion trains on each modality."""
    return str(getattr(plugin(name), "PART", name))


def pools_first(name: str) -> bool:
    """True for a head that pools frames, and concatenates the vectors of all stores, before any weight or draw."""
    return bool(getattr(plugin(name), "POOLS_FIRST", False))


def groups_of(name: str, stores: Sequence[AnyStore]) -> list[list[AnyStore]]:
    """The stores that each part of a head reads: each by itself in a late fusion, all of them together in other heads."""
    return [list(stores)] if part_of(name) == name else [[store] for store in stores]


def takes(name: str) -> Takes:
    """The features that a head takes; of a late fusion, those that its part takes of each modality."""
    found = getattr(plugin(part_of(name)), "TAKES", None)
    return found if isinstance(found, Takes) else Takes()


def options_of(name: str) -> dict[str, Any]:
    """A head's own options and their defaults."""
    signature = inspect.signature(plugin(part_of(name)).Head.__init__)
    return {
        n: p.default
        for n, p in signature.parameters.items()
        if p.default is not inspect.Parameter.empty and p.kind is not inspect.Parameter.VAR_KEYWORD
    }


def build_head(name: str, inputs: list[Input], classes: int, options: dict[str, Any], seed: int) -> nn.Module:
    """A head for one run with its initial weights, drawn from the given seed alone.

    Raises:
        ConfigError: an option that the head does not have, or options of a head of more than `MOST_NUMBERS` weights.
        TrainingError: features that the head does not take.
    """
    known = options_of(name)
    strange = sorted(set(options) - set(known))
    if strange:
        raise registry.unknown(f"option of head {name}:", strange[0], sorted(known))
    if any(options[n] != known[n] for n in options):
        _check_size(name, inputs, classes, options)
    return _made(name, inputs, classes, options, seed)


def _made(name: str, inputs: list[Input], classes: int, options: dict[str, Any], seed: int) -> nn.Module:
    if not takes(name).fits(inputs):
        found = ", ".join(f"{i.name} ({i.modality}, {kind_of(i)})" for i in inputs)
        raise TrainingError(f"head {name} cannot take these features", expected=takes(name), found=found)
    with streams.drawing(seed):
        head = plugin(name).Head(inputs, classes, **options)
    assert isinstance(head, nn.Module)
    return head


def _check_size(name: str, inputs: list[Input], classes: int, options: dict[str, Any]) -> None:
    """Refuse options of a head that would take more memory than any head here is worth, before any of it is taken."""
    try:
        parameter_count(name, inputs, classes, options, MOST_NUMBERS)
    except _TooLargeError as error:
        own = options_of(name)
        changed = ", ".join(f"{n}={v}" for n, v in options.items() if v != own[n])
        raise ConfigError(
            f"head {name} with {changed[:200]} is too large",
            expected=f"at most {MOST_NUMBERS} weights ({MOST_NUMBERS >> 28} GiB), of which training holds five times as much",
            found=error.found,
            action="Take smaller sizes or fewer layers: --head-option NAME=VALUE.",
        ) from None
    except ConfigError:
        if plugin(name).__name__.startswith(HEADS + "."):
            raise
        return  # a head from elsewhere may need real numbers to be built


class _Undrawn(TorchFunctionMode):
    """Leave out the drawing and scaling of weights that have no memory: torch would import its compiler for it."""

    DRAWS = ("uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_")

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if args and (name in self.DRAWS or (name == "mul" and isinstance(args[-1], float))):
            return args[0]
        return (torch.empty if func in (torch.rand, torch.randn) else func)(*args, **(kwargs or {}))


class _TooLargeError(ConfigError):
    """A head with more numbers than are allowed."""


def parameter_count(name: str, inputs: list[Input], classes: int, options: dict[str, Any], most: int) -> int:
    """The numbers of a head's weights, running statistics included; nothing of their size is made.

    Args:
        most: numbers of a head that is not refused.

    Raises:
        ConfigError: the head has more numbers, or cannot be built with these options.
        TrainingError: features that the head does not take.
    """
    asked = (plugin(name), tuple(inputs), classes, repr(sorted(options.items())))
    if asked in _COUNTED and _COUNTED[asked][0] <= most:  # the other runs of an experiment, and their files, ask the same
        return _COUNTED[asked][1]
    own, tensors, numbers = threading.get_ident(), 0, 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal tensors, numbers
        if threading.get_ident() == own and parameter is not None:
            tensors, numbers = tensors + 1, numbers + parameter.numel()
            if numbers > most or tensors > MOST_TENSORS:
                found = (
                    f"{numbers} ({numbers / 2**28:.1f} GiB) or more" if numbers > most else f"more than {MOST_TENSORS} tensors"
                )
                expected = f"{most} numbers in {MOST_TENSORS} tensors at most"
                raise _TooLargeError("the head is larger", expected=expected, found=found)

    hook = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"), _Undrawn():
            head = _made(name, inputs, classes, options, 0)
    except SerError:
        raise
    except Exception as error:  # torch and Python refuse absurd sizes in many ways
        kind = _TooLargeError if "overflow" in str(error) else ConfigError
        raise kind(f"head {name} cannot be built", found=f"{type(error).__name__}: {error}"[:200]) from None
    finally:
        hook.remove()
    _COUNTED[asked] = numbers, sum(t.numel() for t in (*head.parameters(), *head.buffers()))
    return _COUNTED[asked][1]


def is_stackable(head: nn.Module) -> bool:
    """True for a head of which many runs can be trained at once."""
    return bool(getattr(head, "stackable", True))


def offers_embedding(head: str) -> bool:
    """True for a head that has `embed(batch) -> (runs, batch, E)`."""
    return hasattr(plugin(part_of(head)).Head, "embed")


def require_embedding(head: str, reader: str) -> None:
    """Refuse a head without `embed` by a ConfigError, which lists those that have it."""
    if not offers_embedding(head):
        offering = [h for h in registry.names(HEADS) if offers_embedding(h)]
        raise ConfigError(
            f"{reader} reads an embedding, and head {head} has none", expected=f"one of the heads {', '.join(offering)}"
        )


def sizes(option: str | tuple[int, ...] | list[int] | int) -> tuple[int, ...]:
    """Layer sizes from an option: `512,256`, a number, or a sequence; an empty one means no layer.

    Raises:
        ConfigError: a size is not a whole number of 1 or more.
    """
    parts = option.split(",") if isinstance(option, str) else [option] if isinstance(option, int) else list(option)
    try:
        found = tuple(int(v) for v in parts if str(v).strip())
    except ValueError:
        found = (0,)
    if any(v < 1 for v in found):
        raise ConfigError("sizes of hidden layers", expected="numbers of 1 or more, such as 512,256", found=repr(option)[:80])
    return found
