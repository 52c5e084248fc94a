"""Standardisation of features by the statistics of chosen utterances; some choices look at test data."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.features.blocks import Block
from ser.features.stores.streamed import Streamed
from ser.features.tensors import Tensors
from ser.features.view_rows import ViewRows
from ser.metadata.targets import RATED
from ser.metadata.targets.dimensions import shared_scales
from ser.registry import unknown

LIMIT = 3.0  # standard deviations
_PART_BYTES = 2**25
NORMALISATIONS = ("none", "train", "corpus", "speaker")
# The meaning of each choice where a head is trained on one corpus and tested on another.
BETWEEN_CORPORA = {
    "none": "features as they are stored",
    "train": "all corpora by the statistics of the training utterances",
    "corpus": "each corpus by the statistics of all its own utterances",
    "speaker": "each speaker by the statistics of all their own utterances",
}
STAMPS = {
    "corpus": "normalised per corpus: uses the unlabelled features of test utterances (transductive)",
    "speaker": "normalised per speaker: uses the unlabelled test data of that speaker (transductive)",
}


class Statistics(TypedDict):
    """Mean and standard deviation of each feature, `(D,)` or `(L, D)`."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]


def normalise(data: Tensors, how: str, train: NDArray[np.int64], limit: float = LIMIT) -> tuple[Tensors, dict[str, Statistics]]:
    """Standardise features to mean 0 and standard deviation 1; ids are left as they are.

    Augmented views count in no statistics: test data, which are never augmented, are standardised by the same ones, and heads
    with and without views differ only in what they draw.

    Values beyond `limit` standard deviations are then set to the limit. Functionals have heavy tails, and a value that no
    training utterance came near would otherwise carry a head far from everything that it was fitted on.

    Args:
        how: the utterances whose statistics are used. `none`; `train`: the training utterances (row positions `train`), in a
            transfer those of the source; `corpus`: all utterances of the dataset, in a transfer each corpus by its own;
            `speaker`: each speaker's own utterances, test speakers too. The last two use unlabelled test data (transductive),
            and records are stamped so.
        limit: in standard deviations; 0 is no limit.

    Returns:
        The new tensors, and for `train` the statistics by store (`mean`, `std`), to apply to other data.

    Raises:
        ConfigError: unknown choice, or `speaker` where speakers are not known.
    """
    if how not in NORMALISATIONS:
        raise unknown("normalisation", how, list(NORMALISATIONS))
    if how == "none":
        return data, {}
    everyone = np.arange(len(data.frame))
    if how == "corpus" and "dataset" in data.frame:  # several, joined
        corpora = data.frame["dataset"].to_numpy()
        groups = [np.flatnonzero(corpora == name) for name in pd.unique(data.frame["dataset"])]
        return data.with_blocks([_standardise_groups(b, groups, limit, data.views) for b in data.blocks]), {}
    if how == "speaker":
        speakers = data.frame["speaker"].to_numpy()
        if (speakers == "").any():
            raise ConfigError(f"{data.dataset}: --normalize speaker needs the speaker of every utterance")
        groups = [np.flatnonzero(speakers == s) for s in pd.unique(data.frame["speaker"])]
        alone = [str(speakers[g[0]]) for g in groups if len(g) < 2]
        if alone:
            raise ConfigError(
                f"{data.dataset}: --normalize speaker: {len(alone)} speakers have one utterance, {alone[0]} first",
                expected="two or more of each: the features of one are all 0 against their own mean",
                action="Take --normalize train or corpus.",
            )
        return data.with_blocks([_standardise_groups(b, groups, limit, data.views) for b in data.blocks]), {}
    used = train if how == "train" else everyone
    statistics = {b.name: _statistics(b, used) for b in data.blocks if not b.vocabulary}
    return apply_statistics(data, statistics, limit), statistics


def standardise_target(data: Tensors, train: NDArray[np.int64]) -> Tensors:
    """Give dimensions mean 0 and standard deviation 1 over the training utterances; all other targets stay as they are."""
    if data.target.kind not in RATED or data.values is None:
        return data
    mean, std = data.values[train].mean(0), data.values[train].std(0)
    std = np.where(std > 0, std, 1.0)
    return replace(data, values=(data.values - mean) / std, unit=(mean, std))


def by_scale(data: Tensors) -> Tensors:
    """Give dimensions the middle of their stated scale as 0 and a quarter of it as 1, for which no rating is read.

    Raises:
        ConfigError: the corpus does not state the scale of one.
    """
    if data.target.kind not in RATED or data.values is None:
        return data
    scales = shared_scales([data.table], data.target.names)
    ends = np.array([[scales[name]["low"], scales[name]["high"]] for name in data.target.names])
    mean, std = ends.mean(1), np.ptp(ends, axis=1) / 4
    return replace(data, values=(data.values - mean) / std, unit=(mean, std))


def apply_statistics(data: Tensors, statistics: dict[str, Statistics], limit: float = LIMIT) -> Tensors:
    """Standardise with the statistics of other utterances, by store name."""
    blocks = []
    for block in data.blocks:
        s = statistics.get(block.name)
        blocks.append(block if s is None else _standardised(block, s, limit))
    return data.with_blocks(blocks)


def scale(
    block: Block, how: str, statistics: dict[str, Statistics], limit: float, speakers: NDArray[np.object_] | None = None
) -> Block:
    """Standardise a block of new utterances as a head was: by the stored statistics, or (`speaker`) by their own.

    Args:
        speakers: of each utterance, `(n,)`, whose own are taken; None: all are of one.
    """
    if block.vocabulary or how == "none":
        return block
    known = statistics.get(block.name)
    if known is None and how == "speaker" and speakers is not None:
        groups = [np.flatnonzero(speakers == name) for name in pd.unique(speakers)]
        if block.values.dtype != np.float32:
            block = replace(block, values=block.values.astype(np.float32))
        return _standardise_groups(block, groups, limit)
    everyone = np.arange(len(block.values) if block.offsets is None else len(block.offsets) - 1)
    return _standardised(block, known or _statistics(block, everyone), limit)


def distances(blocks: Sequence[Block]) -> NDArray[np.float64]:
    """The distance of standardised utterances from the mean of those whose statistics were used, in standard deviations.

    The root mean square over all features, `(n,)`; frames are averaged first, ids left out.
    """
    squares, size = 0.0, 0
    for block in (b for b in blocks if not b.vocabulary):
        values = np.asarray(block.values)
        if block.offsets is not None:
            counts = np.maximum(np.diff(block.offsets), 1)
            values = np.add.reduceat(values, block.offsets[:-1], axis=0, dtype=np.float64) / counts[:, None]
        flat = values.reshape(len(values), -1)
        squares = squares + np.einsum("nd,nd->n", flat, flat, dtype=np.float64)
        size += flat.shape[1]
    return np.sqrt(np.asarray(squares) / size)


def _statistics(block: Block, positions: NDArray[np.int64]) -> Statistics:
    count = len(positions) if block.offsets is None else int(np.diff(block.offsets)[positions].sum())
    mean = sum(part.sum(axis=0) for part in _parts(block, positions)) / count
    std = np.sqrt(sum(((part - mean) ** 2).sum(axis=0) for part in _parts(block, positions)) / count)
    # A feature that does not vary carries nothing; dividing by its rounding noise would make it the loudest of all.
    std = np.where(std > 1e-6 * np.maximum(1.0, np.abs(mean)), std, 1.0)
    return {"mean": mean.astype(np.float32), "std": std.astype(np.float32)}


def _rows(block: Block, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row numbers of the vectors of some utterances."""
    return block.frame_rows(positions) if block.framewise else positions


def _parts(block: Block, positions: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """The vectors of some utterances, some at a time, in double precision."""
    step = max(1, _PART_BYTES // (8 * math.prod(block.values.shape[1:])))
    lengths = np.ones(len(positions), np.int64) if block.offsets is None else np.diff(block.offsets)[positions]
    ends = np.cumsum(lengths)
    for begin in range(0, int(lengths.sum()), step):
        # The utterances that have these vectors: numbers of all rows at once would take as much memory as the features.
        first, last = np.searchsorted(ends, [begin, begin + step - 1], "right")
        skipped = begin - int(ends[first] - lengths[first])
        rows = _rows(block, positions[first : last + 1])[skipped : skipped + step]
        yield block.values[rows].astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Scaling:
    """The standardisation of what is read of utterances that stay on disk: each by the statistics of its group.

    Attributes:
        each: statistics of each group.
        groups: of each utterance, `(n,)`.
        limit: in standard deviations.
    """

    each: list[Statistics]
    groups: NDArray[np.int64]
    limit: float

    def __call__(self, values: NDArray[Any], utterances: NDArray[np.int64]) -> NDArray[Any]:
        if len(self.each) == 1:
            return _scaled(values, self.each[0], self.limit)
        own = self.groups[utterances]
        for group in np.unique(own):
            values[own == group] = _scaled(values[own == group], self.each[group], self.limit)
        return values


def _standardised(block: Block, s: Statistics, limit: float) -> Block:
    if isinstance(block.values, Streamed):
        return replace(block, values=block.values.changed(_Scaling([s], np.zeros(1, np.int64), limit)))
    return replace(block, values=_scaled(block.values, s, limit))


def _scaled(values: NDArray[Any], s: Statistics, limit: float) -> NDArray[Any]:
    scaled: NDArray[Any] = values - s["mean"]
    scaled /= s["std"]  # in place, here and below: frames may fill half of the memory
    scaled = scaled.astype(np.float32, copy=False)
    if limit:
        np.clip(scaled, -limit, limit, out=scaled)
    return scaled


def _standardise_groups(block: Block, groups: list[NDArray[np.int64]], limit: float, drawn: ViewRows | None = None) -> Block:
    if block.vocabulary:
        return block
    each = []
    for group in groups:
        views = group[:0] if drawn is None or block.name not in drawn.stores else drawn.of(group)
        each.append(np.concatenate([group, views]))
    if isinstance(block.values, Streamed):
        number = np.zeros(len(block.values.places), np.int64)
        for k, utterances in enumerate(each):
            number[utterances] = k
        scaling = _Scaling([_statistics(block, group) for group in groups], number, limit)
        return replace(block, values=block.values.changed(scaling))
    values = np.empty_like(block.values)
    for group, utterances in zip(groups, each, strict=True):
        rows = _rows(block, utterances)
        values[rows] = _scaled(block.values[rows], _statistics(block, group), limit)
    return replace(block, values=values)
