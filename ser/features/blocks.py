"""Blocks of features: those of some utterances from one store, as a head reads them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from ser.features.stores.bulk_reading import Ragged
from ser.features.stores.layout import FRAME
from ser.features.stores.store import FeatureStore
from ser.features.stores.streamed import Streamed
from ser.files import JsonObject


@dataclass(frozen=True, eq=False)
class Block:
    """Features of n utterances from one store.

    Attributes:
        name: the store's name.
        modality: audio, text or visual.
        values: `(n, D)` pooled, `(n, L, D)` pooled per layer, or `(sum T, D)` framewise; float32, int32 for ids; in memory, or
            on disk where they are read as they are needed.
        offsets: framewise: utterance i is `values[offsets[i]:offsets[i + 1]]`; None when pooled.
        vocabulary: number of ids where the features are word pieces, else 0.
        assets: texts that belong to the features (a tokenizer).
    """

    name: str
    modality: str
    values: NDArray[Any] | Streamed
    offsets: NDArray[np.int64] | None = None
    vocabulary: int = 0
    assets: dict[str, str] = field(default_factory=dict)

    @property
    def framewise(self) -> bool:
        return self.offsets is not None

    @property
    def streamed(self) -> bool:
        """True if the values stay on disk."""
        return isinstance(self.values, Streamed)

    @property
    def dim(self) -> int:
        return int(self.values.shape[-1])

    @property
    def layers(self) -> int:
        """Stored layers of a pooled block; 1 where there is one vector."""
        return int(self.values.shape[1]) if not self.framewise and self.values.ndim == 3 else 1

    def rows(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """All vectors of some utterances, `(m, D)` or `(m, L, D)`; framewise: their frames one after another."""
        if self.offsets is None:
            return np.asarray(self.values[positions])
        return np.asarray(self.values[self.frame_rows(positions)])

    def only(self, positions: NDArray[np.int64]) -> "Block":
        """The block of some utterances."""
        if self.offsets is None:
            return replace(self, values=self.rows(positions))
        offsets = np.concatenate([[0], np.cumsum(np.diff(self.offsets)[positions])]).astype(np.int64)
        return replace(self, values=self.rows(positions), offsets=offsets)

    def frame_rows(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row numbers of the frames of some utterances, one utterance after another."""
        assert self.offsets is not None
        lengths = np.diff(self.offsets)[positions]
        first = np.repeat(self.offsets[positions] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        return np.asarray(first + np.arange(int(lengths.sum())), dtype=np.int64)


def read_block(name: str, store: FeatureStore, ids: list[str], streamed: bool = False) -> Block:
    """Read the features of some utterances from a store; `streamed`: leave them there, to be read as they are needed."""
    # Frames stored in float16 are widened here, not batch by batch: normalisation and training compute in
    # float32. So they take twice the memory of the file, and no more.
    dtype = np.int32 if store.vocabulary else np.float32
    read: Any
    if streamed:
        read = Streamed.of(store, ids, dtype)
        read = Ragged(read, read.offsets) if store.level == FRAME else read
    else:
        read = store.read(ids, dtype)
    if not isinstance(read, Ragged):
        return Block(name, store.modality, read)
    return Block(name, store.modality, read.values, read.offsets, store.vocabulary, dict(store.assets))


class StoreFacts(TypedDict, total=False):
    """Facts of a store in a record: `features_sha256` is of the values in use, `sha256` of the file, where it was hashed.

    `layer` is there where one of several stored layers is used (`ser.features.stored_layers`).
    """

    features_sha256: str
    path: str
    sha256: str
    encoder: str
    level: str
    identity: JsonObject
    layer: int


def store_facts(store: FeatureStore, ids: list[str], hashed: bool = True) -> StoreFacts:
    """Facts of a store of which some utterances are used; `hashed`: with the hash of the file."""
    identity = json.dumps(store.facts.identity, sort_keys=True)
    values = "".join(f"{i} {crc:08x}\n" for i, crc in zip(ids, store.index(ids).crc32, strict=True))
    facts = StoreFacts(features_sha256=hashlib.sha256((identity + values).encode()).hexdigest(), path=store.path.name)
    if hashed:
        facts["sha256"] = store.sha256
    return {**facts, "encoder": store.facts.encoder, "level": store.level, "identity": store.facts.identity}


def stored_block(path: Path, name: str, ids: Sequence[str], streamed: bool = False) -> Block:
    """Read features of some utterances from one store's file, under the name of another (a view's under that of its store).

    Args:
        streamed: as of `read_block`.

    Raises:
        StoreError: there is no such store, or it lacks an utterance.
    """
    with FeatureStore(path) as store:
        return read_block(name, store, list(ids), streamed)
