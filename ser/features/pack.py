"""Features of some utterances -> the index and the block of values that a file of a store holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import StoreError
from ser.features.layout import DTYPES, FRAME, Facts, Index, checksum


@dataclass(frozen=True, eq=False)
class Record:
    """Features of one utterance, to be committed.

    Attributes:
        id: utterance id.
        values: `(D,)` or `(L, D)`; framewise `(T, D)`.
        source: SHA-256 of what they were made of.
        n_samples: samples at the encoder's rate; 0 for text.
    """

    id: str
    values: NDArray[Any]
    source: bytes
    n_samples: int = 0


def pack(records: Sequence[Record], facts: Facts) -> tuple[Index, NDArray[Any]]:
    ids = [r.id for r in records]
    if len(set(ids)) < len(ids):
        raise StoreError("an utterance is committed twice at once", found=", ".join(ids))
    frames = facts.level == FRAME
    for record in records:
        _fits(record, records[0], facts)
    values = (np.concatenate if frames else np.stack)([r.values for r in records])
    return Index(
        ids,
        np.array([np.frombuffer(r.source, np.uint8) for r in records]).reshape(-1, 32),
        np.array([r.n_samples for r in records], np.int64),
        np.array([len(r.values) if frames else 1 for r in records], np.int64),
        np.array([checksum(r.values) for r in records], np.uint32),
    ), values


def _fits(record: Record, first: Record, facts: Facts) -> None:
    shape, dtype = record.values.shape, record.values.dtype
    alike = shape[1:] == first.values.shape[1:] if facts.level == FRAME else shape == first.values.shape
    dimensions = (2,) if facts.level == FRAME else (1, 2)
    if not alike or len(shape) not in dimensions or shape[-1] != facts.dim or 0 in shape:
        raise StoreError(f"{record.id}: features of another shape", expected=f"{facts.dim} each", found=shape)
    if dtype != first.values.dtype or dtype.name not in DTYPES[facts.level]:
        raise StoreError(f"{record.id}: features of type {dtype}", expected=" or ".join(DTYPES[facts.level]))
    if not np.isfinite(record.values).all():
        raise StoreError(f"{record.id}: features that are not finite")
