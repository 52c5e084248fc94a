"""The inside of a head for one utterance: class activation of spectrograms, and attention between frames or tokens.

HiResCAM (Draelos & Carin, arXiv 2011.08891, equation 2): the last picture of a convolutional head times the gradient of the
class's logit by it, cell by cell, summed over channels. Where the head is a mean over cells and one linear layer (`resnet18`)
it is the class activation map of Zhou et al. (CVPR 2016) over the number of cells. Grad-CAM (Selvaraju et al., ICCV 2017)
takes the mean gradient of a channel in place of each cell's own, and so misplaces evidence that depends on its place in
frequency, in heads that keep bands apart (`cnn2d`, `cnn_bilstm`).

Attention maps hold the weights of the forward pass: softmax(q k / sqrt(d)) in each attention head (Vaswani et al. 2017,
equation 1). They show what was mixed, not why a class was chosen (Jain & Wallace, NAACL 2019). Pooled features have one key,
whose weight is always 1: such layers are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ser.errors import ConfigError
from ser.explain.opened_head import OpenedHead
from ser.train.heads._spectrogram import Spectrogram, middle_frames
from ser.train.nn.attention import Attention
from ser.train.nn.pooling import Attentive


def class_activation(opened: OpenedHead, row: int, label: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the map of one utterance for one class, and the spectrogram that it is of.

    Args:
        opened: a head with convolutions over a spectrogram: `cnn2d`, `cnn_bilstm`, `resnet18`.
        row: of `opened.data`.
        label: number of the class.

    Returns:
        Both `(frames, bands)`: the map, in logits per cell of the last picture, positive where it speaks for the class and
        negative where it speaks against, brought to the frames and bands of the spectrogram by bilinear interpolation; and
        the features as the head reads them.

    Raises:
        ConfigError: the head has no convolutions over a spectrogram.
    """
    head = opened.module
    if not isinstance(head, Spectrogram):
        raise ConfigError(
            f"head {opened.saved.config.head} has no class activation map",
            expected="a convolutional head on a spectrogram: cnn2d, cnn_bilstm, resnet18",
        )
    values, mask = opened.resident.batch(torch.tensor([[row]]))[head.input]
    assert mask is not None
    x, mask = middle_frames(values, mask, head.frames)
    with torch.enable_grad():
        picture, there = head.maps(x[:, :, None], mask)
        picture = picture.detach().requires_grad_()
        logit = head.output(head.pool(picture, there))[0, 0, label]
        (gradient,) = torch.autograd.grad(logit, picture)
    small = (picture.detach() * gradient)[0, 0].sum(0)
    large = F.interpolate(small[None, None], size=tuple(x[0, 0].shape), mode="bilinear", align_corners=False)
    return np.asarray(large[0, 0].numpy(), dtype=np.float32), x[0, 0].numpy()


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
            layer.register_forward_hook(partial(_seen, found, place + name, attends.get(name, ((), ()))))
            for name, layer in module.named_modules()
            if isinstance(layer, Attentive) or (isinstance(layer, Attention) and layer.query is not None)
        ]
        try:
            module(resident.batch(torch.tensor([[row]])))
        finally:
            for hook in hooks:
                hook.remove()
    return found


def _seen(
    found: list[AttentionMap],
    name: str,
    stores: tuple[Sequence[str], Sequence[str]],
    layer: Attention | Attentive,
    inputs: tuple[Any, ...],
    _: Tensor,
) -> None:
    queries, keys = stores
    if isinstance(layer, Attention):
        x, source, mask, *packings = [*inputs, None, None][:5]
        x, source = (part if p is None else p.pad(part) for part, p in zip((x, source), packings, strict=True))
        weights = layer.weights(x, source, mask)[0, 0]
    else:
        pooled = layer.weights(*inputs)[0, 0]
        weights = (pooled[None] if pooled.ndim == 1 else pooled.T)[:, None]
        if not keys and layer.store:
            queries, keys = (), (layer.store,)
    found.append(AttentionMap(name, weights.float().numpy(), tuple(queries), tuple(keys)))
