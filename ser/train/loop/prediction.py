"""Heads of a stack of runs, and their predictions and embeddings of utterances."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ser.accelerator import exact
from ser.metadata.targets import plugin
from ser.train.heads._base import build_head
from ser.train.loop.config import Config
from ser.train.loop.data import Data
from ser.train.loop.dialogues import PerTurn
from ser.train.nn import streams
from ser.train.nn.layers import Enter, Feature, Features
from ser.train.nn.parameters import Parameters

EVALUATION_ROWS = 512


def predict(data: Data, config: Config, weights: Tensor, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Class probabilities (or values) of rows under trained weights; the mean over snapshots where there are several.

    Args:
        weights: `(runs, n)`.

    Returns:
        `(runs, len(rows), outputs)`.
    """
    parameters = _unfilled(data, config, len(weights))
    found = []
    for snapshot in weights.chunk(config.snapshots, dim=1):
        parameters.load(snapshot)
        found.append(outputs_of(logits(parameters, data, rows).cpu().double(), config.target, data.classes))
    return torch.stack(found).mean(0).numpy()


def outputs_of(logits: Tensor, target: str, classes: int) -> Tensor:
    """Make of logits what a kind of target takes them for: probabilities by a softmax or a sigmoid, or values."""
    kind = plugin(target).OUTPUT
    if kind == "softmax and value":
        return torch.cat([logits[..., :classes].softmax(-1), logits[..., classes:]], -1)
    return logits.softmax(-1) if kind == "softmax" else logits.sigmoid() if kind == "sigmoid" else logits


def rescaled(found: NDArray[np.float64], mean: ArrayLike, std: ArrayLike) -> NDArray[np.float64]:
    """Bring values, the last of the outputs `(..., K)`, from standard deviations back to their scale."""
    first = found.shape[-1] - len(np.asarray(mean))
    return np.concatenate([found[..., :first], found[..., first:] * np.asarray(std) + np.asarray(mean)], axis=-1)


def embed(data: Data, config: Config, weights: Tensor, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Embeddings of rows under trained weights, `(runs, len(rows), E)`; of snapshots, those of the last.

    Args:
        weights: `(runs, n)`.
    """
    parameters = _unfilled(data, config, len(weights))
    parameters.load(weights.chunk(config.snapshots, dim=1)[-1])
    return embeddings(parameters, data, rows).cpu().double().numpy()


def layer_weights(data: Data, config: Config, weights: Tensor) -> dict[str, list[float]]:
    """The weight of each stored layer that a head has learned, by store; of snapshots, that of the last.

    Args:
        weights: of one run, `(n,)`.
    """
    parameters = _unfilled(data, config, 1)
    parameters.load(weights[None].chunk(config.snapshots, dim=1)[-1])
    enters = [m for m in parameters.head.modules() if isinstance(m, Enter) and m.weights is not None]
    return {e.store: e.weights.detach().double().softmax(-1)[0].tolist() for e in enters if e.weights is not None}


def _unfilled(data: Data, config: Config, runs: int) -> Parameters:
    """A block for weights that are yet to be loaded; one head is built, whose initial weights nothing reads."""
    head = heads(data, config, [0])[0]()
    return Parameters([lambda: head] * runs, data.resident.device)


def heads(data: Data, config: Config, seeds: Sequence[int]) -> list[Callable[[], nn.Module]]:
    """One function for each run, giving its head with initial weights from its seed."""
    options = dict(config.head_options)

    def start(seed: int) -> nn.Module:
        head = build_head(config.head, data.resident.inputs, data.outputs, options, streams.derive(seed, "init"))
        return head if config.context == "utterance" else PerTurn(head, config.head)

    return [partial(start, s) for s in seeds]


def _batches(data: Data, rows: NDArray[np.int64], runs: int) -> Iterator[tuple[Tensor, Features]]:
    """Units of some rows in groups for evaluation, `(runs, batch, ...)`, and their features: all runs read the same ones."""
    units = [chunk[None] for chunk in data.resident.chunks(rows, EVALUATION_ROWS)] if len(rows) else []
    for own, features in data.resident.batches(units):
        shared = {
            name: Feature(_of_all(one.values, runs), None if one.mask is None else _of_all(one.mask, runs))
            for name, one in features.items()
        }
        yield _of_all(own, runs), shared


def _of_all(one: Tensor, runs: int) -> Tensor:
    """A tensor of one run as that of several, without copies."""
    return one.expand(runs, *one.shape[1:])


@torch.no_grad()
def logits(parameters: Parameters, data: Data, rows: NDArray[np.int64]) -> Tensor:
    """Logits of some rows, `(runs, len(rows), outputs)`, in evaluation mode."""
    parameters.head.eval()
    runs = len(parameters.theta)
    out = torch.empty(runs, len(data.labels), data.outputs, device=data.resident.device)
    with exact(data.resident.device):
        for units, features in _batches(data, rows, runs):
            guess, own = data.resident.flat(parameters.head(features), units)
            out[:, own[0]] = guess
    return out[:, torch.as_tensor(rows, device=out.device)]


@torch.no_grad()
def embeddings(parameters: Parameters, data: Data, rows: NDArray[np.int64]) -> Tensor:
    """Embeddings of some rows, `(runs, len(rows), E)`, in evaluation mode."""
    head = parameters.head.eval()
    runs = len(parameters.theta)
    found, owners = [], []
    with exact(data.resident.device):
        for units, features in _batches(data, rows, runs):
            vectors, own = data.resident.flat(head.embed(features), units)  # type: ignore[operator]
            found.append(vectors)
            owners.append(own[0])
    order = torch.cat(owners)
    where = torch.empty(len(data.labels), dtype=torch.long, device=order.device)
    where[order] = torch.arange(len(order), device=order.device)
    return torch.cat(found, dim=1)[:, where[torch.as_tensor(rows, device=order.device)]]
