"""Checks of the values of features made elsewhere: rows of zeros, rows that occur twice, a feature that is the label."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import lgamma, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.features.stores.store import FeatureStore

CHANCE = 1e-3  # that any feature of a store parts the classes without knowing them
CODES = 4  # rows a value at least: a feature of fewer is a measurement, not a number that stands for something
ROWS = 20  # fewer say nothing of codes


@dataclass(frozen=True)
class CheckedValues:
    """Suspicious values of a store.

    Attributes:
        zeros: utterances whose features are all zero.
        twins: pairs of utterances with the same features, not zeros; of three that are the same, each with the first.
        label_features: numbers of features each of which alone gives away the label of every utterance, or a coarser one.
    """

    zeros: tuple[str, ...]
    twins: tuple[tuple[str, str], ...]
    label_features: tuple[int, ...]


def check_values(store: FeatureStore, labels: Mapping[str, str]) -> CheckedValues:
    """Check a store of vectors, or of frames by the mean of each utterance; one block at a time is in memory.

    Args:
        store: of `(D,)` vectors.
        labels: utterance id -> label; "" where there is none.
    """
    zeros: list[str] = []
    alike: dict[bytes, list[str]] = defaultdict(list)
    classes = sorted({labels[i] for i in store.ids if labels.get(i)})
    ranges = _Ranges(len(classes), store.dim)
    number = {name: k for k, name in enumerate(classes)}
    for ids, values, offsets in _blocks(store):
        for utterance, (begin, end) in zip(ids, pairwise(offsets), strict=True):
            frames = values[begin:end]
            if not frames.any():
                zeros.append(utterance)
            else:
                alike[hashlib.blake2b(np.ascontiguousarray(frames).tobytes(), digest_size=16).digest()].append(utterance)
        ranges.add(*_labelled(ids, values, offsets, labels, number))
    twins = tuple((same[0], other) for same in alike.values() for other in same[1:])
    return CheckedValues(tuple(zeros), twins, tuple(ranges.parted() | _codes(store, labels, number, ranges.coded())))


class _Ranges:
    """Least and greatest value of each feature in each class, `(K, D)`, and the number of utterances of each class."""

    def __init__(self, classes: int, dim: int) -> None:
        self.classes, self.dim = classes, dim
        self.low = np.full((classes, dim), np.inf)
        self.high = -self.low
        self.counts = np.zeros(classes, dtype=np.int64)
        self.whole = np.ones(dim, dtype=bool)  # true for features whose values are all whole numbers

    def add(self, values: NDArray[Any], labels: NDArray[np.int64]) -> None:
        """Take rows `(n, D)` and their class numbers `(n,)`."""
        for k in np.unique(labels):
            rows = values[labels == k]
            self.low[k] = np.minimum(self.low[k], rows.min(axis=0))
            self.high[k] = np.maximum(self.high[k], rows.max(axis=0))
            self.counts[k] += len(rows)
        self.whole &= (values == np.rint(values)).all(axis=0)

    def parted(self) -> set[int]:
        """Features whose ranges of the classes do not meet, or that have one value in each class."""
        if self.classes < 2 or self._chance() >= log(CHANCE):
            return set()
        order = np.argsort(self.low, axis=0)
        low, high = (np.take_along_axis(edge, order, axis=0) for edge in (self.low, self.high))
        apart = (high[:-1] < low[1:]).all(axis=0)
        constant = (self.low == self.high).all(axis=0) & (self.low != self.low[0]).any(axis=0)
        return set(np.flatnonzero(apart | constant).tolist())

    def coded(self) -> list[int]:
        """Features of whole numbers that no two classes have the least or the greatest of in common."""
        if self.classes < 2 or self.counts.sum() < ROWS:
            return []
        ends = ((self.low == self.low.min(axis=0)).sum(axis=0) == 1) & ((self.high == self.high.max(axis=0)).sum(axis=0) == 1)
        return np.flatnonzero(self.whole & ends).tolist()  # type: ignore[no-any-return]

    def _chance(self) -> float:
        """Logarithm of the probability that classes are in a row by chance, in any of the features."""
        n = int(self.counts.sum())
        ways = lgamma(n + 1) - sum(lgamma(int(k) + 1) for k in self.counts)
        return lgamma(self.classes + 1) - ways + log(max(1, self.dim))


def _codes(store: FeatureStore, labels: Mapping[str, str], number: Mapping[str, int], columns: list[int]) -> set[int]:
    """Of these features, those that have few values, each in one class only."""
    if not columns:
        return set()
    parts = [_labelled(*block, labels, number) for block in _blocks(store)]
    own = np.concatenate([classes for _, classes in parts])
    found = set()
    for column in columns:
        values = np.concatenate([rows[:, column] for rows, _ in parts])
        distinct = np.unique(values)
        if len(distinct) <= len(values) / CODES and len(np.unique(np.stack([values, own]), axis=1).T) == len(distinct):
            found.add(column)
    return found


def _blocks(store: FeatureStore) -> Iterator[tuple[list[str], NDArray[Any], list[int]]]:
    """Ids, frames `(sum T, D)` and offsets of some utterances at a time."""
    begin = 0
    for block in store.blocks(store.ids):
        count = len(block.offsets) - 1
        yield store.ids[begin : begin + count], block.values, block.offsets.tolist()
        begin += count


def _labelled(
    ids: list[str], values: NDArray[Any], offsets: list[int], labels: Mapping[str, str], number: Mapping[str, int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean of each utterance that has a label, `(n, D)`, and its class number, `(n,)`."""
    kept = [k for k, i in enumerate(ids) if labels.get(i)]
    rows = np.array([values[offsets[k] : offsets[k + 1]].mean(axis=0, dtype=np.float64) for k in kept])
    return rows.reshape(len(kept), values.shape[-1]), np.array([number[labels[ids[k]]] for k in kept], dtype=np.int64)
