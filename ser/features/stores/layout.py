"""The layout of one HDF5 file of a feature store: written once, never changed.

A store is one merged file, shards of this layout, or both.

    utt_id         fixed-length UTF-8 (N,)
    source_sha256  uint8 (N, 32)     of the source: the audio's bytes and segment, or the text
    n_samples      int64 (N,)        at the encoder's rate; 0 for text
    n_frames       int64 (N,)        1 for utterance level
    crc32          uint32 (N,)       of each utterance's bytes
    pooled         float32 (N, D) or (N, L, D)                        level `utterance`
    frames, offsets   (sum T, D) float32, float16 or int32; int64 (N + 1)   level `frame`
    assets/        texts that belong to the features, such as a tokenizer

The root's attributes are the facts (`Facts`, identity as JSON), the provenance (JSON), and `index_crc32`, the check sum of
all the above but the values. The file format is HDF5 1.8's, whose own structures carry check sums too: a flipped bit
anywhere is found, by the format, by `index_crc32`, or by an utterance's `crc32`.
"""

import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ser.errors import StoreError
from ser.files import JsonObject
from ser.metadata.parsing import few

SCHEMA = "ser.store/1"
UTTERANCE, FRAME = "utterance", "frame"
VALUES = {UTTERANCE: "pooled", FRAME: "frames"}
DTYPES = {UTTERANCE: ("float32",), FRAME: ("float32", "float16", "int32")}
MODALITIES = ("audio", "text", "visual")
# The arrays of the index: their types, and their shapes after the number of utterances. Ids are texts of fixed length.
ARRAYS: dict[str, tuple[str, tuple[int, ...]]] = {
    "source_sha256": ("uint8", (32,)),
    "n_samples": ("int64", ()),
    "n_frames": ("int64", ()),
    "crc32": ("uint32", ()),
}
_FACTS = {"encoder": str, "modality": str, "level": str, "dim": int, "sample_rate": int, "vocabulary": int}


@dataclass(frozen=True)
class Facts:
    """Facts that all utterances of a store have in common.

    Attributes:
        encoder: short name.
        modality: `audio`, `text` or `visual`.
        level: `utterance` or `frame`.
        dim: features in each vector.
        identity: all that changes the values; a store of another identity is refused.
        sample_rate: Hz; 0 for text.
        vocabulary: for integer features, the number of ids; 0 otherwise.
        assets: texts kept with the features.
    """

    encoder: str
    modality: str
    level: str
    dim: int
    identity: JsonObject
    sample_rate: int = 0
    vocabulary: int = 0
    assets: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Index:
    """Facts of each utterance of a file, row by row; the arrays are as in the layout above."""

    ids: list[str]
    sources: NDArray[np.uint8]
    n_samples: NDArray[np.int64]
    n_frames: NDArray[np.int64]
    crc32: NDArray[np.uint32]

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Row of the values where each utterance begins, and the end: `(N + 1,)`."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.n_frames, dtype=np.int64)])

    def take(self, rows: NDArray[np.int64]) -> "Index":
        """The index of some rows, in that order."""
        ids = [self.ids[row] for row in rows]
        return Index(ids, self.sources[rows], self.n_samples[rows], self.n_frames[rows], self.crc32[rows])


class _Fault(StoreError):
    """An error that goes to other processes as a plain `StoreError`."""

    def __reduce__(self) -> tuple[object, ...]:
        return (StoreError, (self.line(),))


class Damaged(_Fault):
    """A file of a store that is truncated or whose bytes have changed."""

    def __init__(self, path: Path, found: object) -> None:
        self.path = path
        super().__init__(
            f"the feature store {path} is truncated or damaged",
            found=" ".join(str(found).split())[:160],
            action="`ser store verify` names the damage; the same `ser extract` sets the file aside and makes it again.",
        )


class DamagedRows(_Fault):
    """Some utterances of a file whose values have changed."""

    def __init__(self, path: Path, ids: Sequence[str]) -> None:
        super().__init__(
            f"the feature store {path} is damaged",
            expected=f"the features of {few(ids, 5)} as they were written",
            found="others, by their check sum" if len(ids) == 1 else "others, by their check sums",
            action="`ser store verify --repair` removes damaged utterances; `ser extract` then makes them again.",
        )


class Malformed(_Fault):
    """A file that is whole, and is not what `ser` writes: it was made by something else, or by hand."""

    def __init__(self, path: Path, found: object) -> None:
        self.path = path
        super().__init__(
            f"{path} is not a sound feature store",
            expected="a file as `ser extract` writes it",
            found=" ".join(str(found).split())[:160],
            action="Do not use it; make the store again.",
        )


def check_store_facts(attributes: JsonObject, identity: object, assets: dict[str, str]) -> Facts:
    """Check the attributes of a file and make facts of them.

    Args:
        attributes: the others than `identity`, in plain types.

    Raises:
        ValueError: one is missing or unknown, is of a wrong type, or has a value that cannot be.
    """
    if attributes.keys() != _FACTS.keys():
        raise ValueError(f"attributes {', '.join(sorted(attributes))}")
    for name, kind in _FACTS.items():
        if type(attributes[name]) is not kind:
            raise ValueError(f"{name} {attributes[name]!r}")
    if not isinstance(identity, dict):
        raise ValueError("an identity that is not a JSON object")
    facts = Facts(**attributes, identity=identity, assets=assets)
    for name, allowed in (("level", tuple(VALUES)), ("modality", MODALITIES)):
        if getattr(facts, name) not in allowed:
            raise ValueError(f"{name} {getattr(facts, name)!r}, which is none of {', '.join(allowed)}")
    if facts.dim < 1 or facts.sample_rate < 0 or facts.vocabulary < 0:
        raise ValueError(f"dim {facts.dim}, sample_rate {facts.sample_rate}, vocabulary {facts.vocabulary}")
    return facts


def checked_index(arrays: dict[str, NDArray[Any]], level: str) -> Index:
    """Check the arrays of a file's index and make an index of them.

    Raises:
        ValueError: arrays of other types or lengths, a foreign byte order, an id that is missing or occurs twice, or
            numbers of frames that cannot be.
    """
    ids = [i.decode() for i in arrays["utt_id"].tolist()]
    for name, (dtype, rest) in ARRAYS.items():
        array = arrays[name]
        if array.dtype != np.dtype(dtype) or array.shape != (len(ids), *rest):
            raise ValueError(f"{name} of type {array.dtype.str} and shape {array.shape} for {len(ids)} utterances")
    if len(set(ids)) < len(ids) or "" in ids:
        twice = next((i for i, n in Counter(ids).items() if n > 1), "")
        raise ValueError(f"the id {twice!r} more than once" if twice else "an empty id")
    frames = arrays["n_frames"]
    if (frames < 1).any() or (level == UTTERANCE and (frames != 1).any()) or float(frames.sum(dtype=float)) >= 2**62:
        raise ValueError("numbers of frames that cannot be")
    return Index(ids, *(arrays[name] for name in ARRAYS))


def concatenated(parts: Sequence[Index]) -> Index:
    """The indexes of several files, one after another."""
    if len(parts) == 1:
        return parts[0]
    columns = ("sources", "n_samples", "n_frames", "crc32")
    ids = [utterance for part in parts for utterance in part.ids]
    return Index(ids, *(np.concatenate([getattr(part, column) for part in parts]) for column in columns))


def checksum(values: NDArray[Any]) -> int:
    """CRC-32 of an array's bytes."""
    return zlib.crc32(np.ascontiguousarray(values).data)


def arrays_of(index: Index) -> dict[str, NDArray[Any]]:
    """The index as the datasets of a file."""
    encoded = [i.encode() for i in index.ids]
    width = max(1, *map(len, encoded)) if encoded else 1
    return {
        "utt_id": np.array(encoded, dtype=h5py.string_dtype("utf-8", width)),
        "source_sha256": index.sources,
        "n_samples": index.n_samples,
        "n_frames": index.n_frames,
        "crc32": index.crc32,
    }


def index_checksum(attributes: JsonObject, assets: dict[str, str], arrays: dict[str, NDArray[Any]]) -> int:
    """CRC-32 over all of a file but its values."""
    crc = zlib.crc32(to_json([attributes, assets]).encode())
    for name in sorted(arrays):
        crc = zlib.crc32(np.ascontiguousarray(arrays[name]).tobytes(), crc)
    return crc


def to_json(value: object) -> str:
    """JSON that is the same for equal values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


DECLARED = "declared_encoder"  # of features that were made elsewhere: the encoder that their user says they are of


def same_encoder(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Keys by which two identities are not of the same encoder; [] where they are.

    Imported features of two corpora come from different files. They are of the same encoder where the user has declared the
    same one for both, and their number and names are the same.
    """
    if one.get(DECLARED) and other.get(DECLARED):
        one, other = ({k: v for k, v in identity.items() if k not in ("files", "encoder")} for identity in (one, other))
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def differences(there: Facts, here: Facts) -> list[str]:
    """Phrases for what differs, one for each key: `layer is 12 there and 6 here`."""
    if there.encoder != here.encoder:  # then all differs
        return [f"encoder is {there.encoder} there and {here.encoder} here"]
    old, new = _flat(asdict(there)), _flat(asdict(here))
    return [
        f"{key} differs" if key.startswith("assets.") else f"{key} is {_show(old, key)} there and {_show(new, key)} here"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def refuse_other(path: Path, there: Facts, here: Facts) -> None:
    """Raise a StoreError if a store of these facts cannot take features of those."""
    differing = differences(there, here)
    if differing:
        raise StoreError(
            f"the feature store {path} was made with other settings: {'; '.join(differing)}",
            action="--overwrite starts this store again; another --workspace keeps both.",
        )


def merged_provenance(parts: list[JsonObject], now: JsonObject) -> JsonObject:
    """Provenance of a merged file: that of the newest part, and under `earlier` those that differ but in time."""
    runs: list[JsonObject] = []
    for part in [*parts, now or parts[-1]]:
        for run in [*part.get("earlier", []), {k: v for k, v in part.items() if k != "earlier"}]:
            same = [r for r in runs if _timeless(r) == _timeless(run)]
            checked = [{"verified": r["verified"]} for r in same if "verified" in r]
            runs = [r for r in runs if r not in same] + [{**(checked[-1] if checked else {}), **run}]
    return {**runs[-1], **({"earlier": runs[:-1]} if runs[:-1] else {})}


def _timeless(run: JsonObject) -> JsonObject:
    return {k: v for k, v in run.items() if k not in ("time", "verified")}


def _flat(value: JsonObject, prefix: str = "") -> JsonObject:
    flat: JsonObject = {}
    for key, item in value.items():
        # The identity's own keys speak for themselves: `layer`, not `identity.layer`.
        name = f"{prefix}{key}"
        if isinstance(item, dict):
            flat |= _flat(item, "" if name == "identity" else f"{name}.")
        else:
            flat[name] = item
    return flat


def _show(flat: JsonObject, key: str) -> str:
    return str(flat[key]) if key in flat else "not given"


@dataclass(frozen=True, eq=False)
class Record:
    """Features of one utterance, to be committed.

    Attributes:
        id: utterance id.
        values: `(D,)` or `(L, D)`; framewise `(T, D)`.
        source: SHA-256 of the audio or text that they were made of.
        n_samples: samples at the encoder's rate; 0 for text.
    """

    id: str
    values: NDArray[Any]
    source: bytes
    n_samples: int = 0


def pack(records: Sequence[Record], facts: Facts) -> tuple[Index, NDArray[Any]]:
    """Make the index and the block of values of a file from features of some utterances.

    Raises:
        StoreError: an id twice, values of another shape or type than the store's, or not finite.
    """
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
