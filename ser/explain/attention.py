"""Attention maps: the weights between the frames or tokens of stores, in every attention layer of a head.

The weights are those of the forward pass: softmax(q k / sqrt(d)) in each attention head (Vaswani et al. 2017, equation 1).
They show what was mixed, not why a class was chosen (Jain & Wallace, NAACL 2019). Pooled features have one key, whose weight
is always 1: such layers are left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ser.explain.opened_head import OpenedHead
from ser.train.nn.attention import Attention
from ser.train.nn.pooling import Attentive


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """The weights of one layer of attention for one utterance.

    Attributes:
        layer: the module's place in the head, such as `cross.0.1`.
        weights: `(heads, queries, keys)`, adding up to 1 over keys; of a pooling `(heads, 1, frames)`.
        queries, keys: the stores that they are the frames or tokens of; () for a pooling's one query, which is learned, and
            where the head does not say.
    """

    layer: str
    weights: NDArray[np.float32]
    queries: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@torch.no_grad()
def attention_maps(opened: OpenedHead, row: int) -> list[AttentionMap]:
    """Compute the maps of all attention layers of a head for one utterance, in the order in which they run; [] for none.

    Of a late fusion, those of each part in turn.
    """
    found: list[AttentionMap] = []
    for number, (module, resident) in enumerate(opened.parts):
        place = f"part {number}." if len(opened.parts) > 1 else ""
        attends: dict[str, Any] = getattr(module, "attends", dict)()
        hooks = [
            layer.register_forward_hook(partial(_hook(layer), found, place + name, attends.get(name, ((), ()))))
            for name, layer in module.named_modules()
            if isinstance(layer, Attentive) or (isinstance(layer, Attention) and layer.query is not None)
        ]
        try:
            module(resident.batch(torch.tensor([[row]])))
        finally:
            for hook in hooks:
                hook.remove()
    return found


def _hook(layer: nn.Module) -> Callable[..., None]:
    return _seen_attention if isinstance(layer, Attention) else _seen_pooling


def _seen_attention(
    found: list[AttentionMap],
    name: str,
    stores: tuple[Sequence[str], Sequence[str]],
    layer: Attention,
    inputs: tuple[Any, ...],
    _: Tensor,
) -> None:
    x, source, mask, *packings = [*inputs, None, None][:5]
    x, source = (part if p is None else p.pad(part) for part, p in zip((x, source), packings, strict=True))
    _add(found, name, layer.weights(x, source, mask)[0, 0], stores)


def _seen_pooling(
    found: list[AttentionMap],
    name: str,
    stores: tuple[Sequence[str], Sequence[str]],
    layer: Attentive,
    inputs: tuple[Tensor, Tensor],
    _: Tensor,
) -> None:
    weights = layer.weights(*inputs)[0, 0]
    heads = weights[None] if weights.ndim == 1 else weights.T
    _add(found, name, heads[:, None], stores if stores[1] or not layer.store else ((), (layer.store,)))


def _add(found: list[AttentionMap], name: str, weights: Tensor, stores: tuple[Sequence[str], Sequence[str]]) -> None:
    queries, keys = stores
    found.append(AttentionMap(name, weights.float().numpy(), tuple(queries), tuple(keys)))
