"""Decode and encode the utterances of one chunk, one utterance's failure being its own."""

import pickle
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ser.errors import AudioError, EncoderError
from ser.extract import audio
from ser.extract.encoder import Encoder
from ser.extract.failures import Failure
from ser.extract.items import Item
from ser.features.pack import Record


@dataclass
class Outcome:
    """What became of a chunk so far; `clipped` are ids of utterances whose audio is."""

    records: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    clipped: list[str] = field(default_factory=list)


def encode_chunk(encoder: Encoder, items: Sequence[Item], sources: dict[str, bytes], outcome: Outcome) -> None:
    """Fill an outcome utterance by utterance, so that an interrupt leaves in it what was done.

    Args:
        sources: SHA-256 of each item's source.
        outcome: filled.
    """
    if encoder.modality == "text":
        for item, result in zip(items, _encode_texts(encoder, [item.text for item in items]), strict=True):
            _note(item, result, 0, encoder, sources[item.id], outcome)
        return
    for item in items:
        try:
            sound, clipped = _decode(item, encoder)
        except (AudioError, OSError) as error:
            outcome.failures.append(Failure.of(item.id, item.path, error))
            continue
        outcome.clipped += [item.id] if clipped else []
        _note(item, _encode_alone(encoder, sound), len(sound), encoder, sources[item.id], outcome)


def work(encoder: bytes, items: Sequence[Item], sources: dict[str, bytes]) -> Outcome:
    """`encode_chunk` in a worker process, which unpickles the encoder once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and ends its workers
    outcome = Outcome()
    encode_chunk(_unpickled(encoder), items, sources, outcome)
    return outcome


@lru_cache(maxsize=1)
def _unpickled(encoder: bytes) -> Encoder:
    loaded = cast(Encoder, pickle.loads(encoder))  # our own bytes, from the parent process
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    return loaded


def _decode(item: Item, encoder: Encoder) -> tuple[NDArray[np.float32], bool]:
    """The audio at the encoder's rate, and whether it is clipped."""
    assert item.path is not None
    own, rate = audio.decode(item.path, start=item.start, end=item.end, channel=item.channel)
    sound = audio.resample(own, rate, encoder.sample_rate)
    audio.check(sound, encoder.sample_rate, encoder.minimum, str(item.path))
    return sound, audio.clipped_share(own) > audio.CLIPPED_SHARE


def _encode_texts(encoder: Encoder, texts: Sequence[str]) -> Sequence["NDArray[Any] | Exception"]:
    """Features of each text, or why it has none. A batch that fails (no memory, one bad text) is halved."""
    if len(texts) == 1:
        return [_encode_alone(encoder, texts[0])]
    try:
        return encoder.encode(texts)
    except Exception as error:
        full = _out_of_memory(error)
    if full:
        _empty_gpu()
    half = len(texts) // 2
    return [*_encode_texts(encoder, texts[:half]), *_encode_texts(encoder, texts[half:])]


def _encode_alone(encoder: Encoder, source: Any, again: bool = True) -> "NDArray[Any] | Exception":
    """One utterance's features, or why it has none. A GPU that is out of memory is emptied and tried once more."""
    try:
        return encoder.encode([source])[0]
    except (AudioError, EncoderError) as error:
        return error
    except Exception as error:
        full = _out_of_memory(error)
        if not (full and again):
            hint = "It is too long for this GPU: try --device cpu." if full else None
            what = "the GPU is out of memory" if full else f"the encoder failed with {type(error).__name__}"
            return EncoderError(what, found=str(error).split("\n")[0], action=hint)
    _empty_gpu()
    return _encode_alone(encoder, source, again=False)


def _empty_gpu() -> None:
    """Give back what is cached. Not within `except`: the error holds on to all that the failed try had allocated."""
    sys.modules["torch"].cuda.empty_cache()


def _out_of_memory(error: Exception) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.cuda.OutOfMemoryError)


def _note(
    item: Item, result: "NDArray[Any] | Exception", n_samples: int, encoder: Encoder, source: bytes, outcome: Outcome
) -> None:
    try:
        if isinstance(result, Exception):
            raise result
        outcome.records.append(Record(item.id, _usable(result, encoder), source, n_samples))
    except (AudioError, EncoderError) as error:
        outcome.failures.append(Failure.of(item.id, item.path, error))


def _usable(features: NDArray[Any], encoder: Encoder) -> NDArray[Any]:
    """Features that a store takes: finite, not empty, of the dimension stated."""
    if not np.isfinite(features).all():
        count = int((~np.isfinite(features)).sum())
        raise EncoderError("features that are not finite", found=f"{count} of {features.size} values")
    if not features.size:
        raise EncoderError("no features at all", expected="one frame or more", found=features.shape)
    if features.shape[-1] != encoder.dim:
        raise EncoderError(f"{encoder.name} gives another dimension", expected=encoder.dim, found=features.shape)
    return features
