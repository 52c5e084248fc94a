"""Decode and encode the utterances of one chunk; an utterance that fails leaves the others alone."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ser import accelerator, outside
from ser.audio import reading
from ser.errors import AudioError, EncoderError
from ser.extract.encoder import Encoder
from ser.extract.plan import batches, by_cost
from ser.extract.utterances import Item
from ser.extract.views.view import AudioView
from ser.features.stores.failures import Failure
from ser.features.stores.layout import Record

Inputs = list[tuple[Item, Any]]  # an utterance, and its audio `(samples,)` or its text


class Encodes(Protocol):
    """An encoder, or a model that makes something else of audio.

    It may have `halve()`, which makes its batches smaller and returns their size.
    """

    name: str

    def encode(self, inputs: Sequence[Any]) -> list[Any]: ...


class Hears(Protocol):
    """The facts that decoding needs of an encoder that reads audio."""

    modality: str
    sample_rate: int
    minimum: int

    @property
    def view(self) -> AudioView | None: ...


@dataclass
class Outcome:
    """The results of a chunk so far, for one encoder.

    Attributes:
        records: features, in the order of the chunk.
        failures: utterances without features, and why.
        clipped: ids of utterances whose audio is clipped.
        notes: for the user.
    """

    records: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    clipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Decoded:
    """The audio of a chunk's utterances, decoded once and resampled once per rate, for all encoders."""

    def __init__(self) -> None:
        self._own: dict[str, tuple[NDArray[np.float32], int] | Exception] = {}
        self._resampled: dict[tuple[str, int], NDArray[np.float32]] = {}
        self._viewed: dict[tuple[str, int, str], NDArray[np.float32]] = {}
        self.clipped: set[str] = set()

    def at(self, item: Item, sample_rate: int) -> NDArray[np.float32]:
        """The utterance's audio at a rate.

        Raises:
            AudioError, OSError: it cannot be decoded.
        """
        if item.id not in self._own:
            self._own[item.id] = self._decode(item)
        own = self._own[item.id]
        if isinstance(own, Exception):
            raise own
        key = item.id, sample_rate
        if key not in self._resampled:
            self._resampled[key] = reading.resample(*own, sample_rate)
        return self._resampled[key]

    def view(self, item: Item, sample_rate: int, view: AudioView) -> NDArray[np.float32]:
        """The utterance's audio in an augmented view, made once per rate."""
        key = item.id, sample_rate, view.name
        if key not in self._viewed:
            self._viewed[key] = view.apply(self.at(item, sample_rate), sample_rate, item.id, item.emotion)
        return self._viewed[key]

    def _decode(self, item: Item) -> tuple[NDArray[np.float32], int] | Exception:
        assert item.path is not None
        try:
            own = reading.decode(item.path, start=item.start, end=item.end, channel=item.channel)
        except (AudioError, OSError) as error:
            return error
        if len(own[0]) and reading.clipped_share(own[0]) > reading.CLIPPED_SHARE:
            self.clipped.add(item.id)
        return own


def gather(encoder: Hears, items: Sequence[Item], decoded: Decoded, outcome: Outcome) -> Inputs:
    """Collect the encoder's input of each item; one that cannot be used becomes a failure of the outcome."""
    if encoder.modality == "text":
        return [(item, item.text) for item in items]
    inputs: Inputs = []
    for item in items:
        try:
            sound = decoded.at(item, encoder.sample_rate)
            reading.check(sound, encoder.sample_rate, encoder.minimum, str(item.path))
            if encoder.view is not None:
                sound = decoded.view(item, encoder.sample_rate, encoder.view)
                reading.check(sound, encoder.sample_rate, encoder.minimum, f"{item.path} as {encoder.view.name}")
        except (AudioError, OSError) as error:
            outcome.failures.append(Failure.of(item.id, item.path, error))
            continue
        outcome.clipped += [item.id] if item.id in decoded.clipped else []
        inputs.append((item, sound))
    return inputs


def encode(
    encoder: Encoder, inputs: Inputs, sources: dict[str, bytes], outcome: Outcome, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Fill an outcome batch by batch, so that after an interrupt it has the utterances that were encoded.

    Args:
        sources: SHA-256 of each item's source.
        stopped: called before each batch; true ends the work.
    """
    given = [source for _, source in inputs]
    costs = encoder.costs([len(s) for s in given] if encoder.modality == "audio" else given) if given else []
    order = by_cost(costs)
    groups = batches([costs[k] for k in order], encoder.budget, encoder.equal)
    if encoder.modality == "text" and not encoder.budget:
        groups = [list(range(len(order)))] if order else []  # what costs next to nothing goes in one call
    for group in groups:
        if stopped():
            return
        chosen = [inputs[order[k]] for k in group]
        for (item, source), result in zip(chosen, encode_each(encoder, [s for _, s in chosen], outcome), strict=True):
            n_samples = len(source) if encoder.modality == "audio" else 0
            _note(item, result, n_samples, encoder, sources[item.id], outcome)


def work(encoder: bytes, inputs: Inputs, sources: dict[str, bytes]) -> Outcome:
    """`encode` in a worker process, which unpickles each encoder once."""
    outcome = Outcome()
    encode(_unpickled(encoder), inputs, sources, outcome)
    return outcome


@lru_cache(maxsize=8)
def _unpickled(encoder: bytes) -> Encoder:
    loaded = cast(Encoder, outside.unpickle(encoder))
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    return loaded


def encode_each(encoder: Encodes, sources: Sequence[Any], outcome: Outcome) -> list[Any]:
    """Encode each source; the result is its features, or the error. A batch that fails (no memory, one bad text) is halved."""
    if len(sources) == 1:
        return [_encode_alone(encoder, sources[0])]
    try:
        return list(encoder.encode(sources))
    except Exception as error:
        full, place = accelerator.is_full(error), "the GPU is" if accelerator.of_gpu(error) else "this computer is"
    if full:
        accelerator.empty()
        halve = getattr(encoder, "halve", None)
        if halve is not None:
            left = halve()
            outcome.notes.append(f"{encoder.name}: {place} out of memory; from here on {left:g} s of audio a batch")
    half = len(sources) // 2
    return [*encode_each(encoder, sources[:half], outcome), *encode_each(encoder, sources[half:], outcome)]


def _encode_alone(encoder: Encodes, source: Any, again: bool = True) -> Any:
    """Encode one utterance: its features, or the error. Where memory is full, it is emptied and tried once more."""
    try:
        return encoder.encode([source])[0]
    except (AudioError, EncoderError) as error:
        return error
    except Exception as error:
        full = accelerator.is_full(error)
        if not (full and again):
            said = str(error).split("\n")[0]
            if not full:
                return EncoderError(f"the encoder failed with {type(error).__name__}", found=said)
            gpu = accelerator.of_gpu(error)
            hint = "It is too long for this GPU: try --device cpu." if gpu else "It is too long: cut it into shorter ones."
            what = f"{'the GPU' if gpu else 'this computer'} is out of memory"
            return EncoderError(what, found=said, action=hint)
    accelerator.empty()
    return _encode_alone(encoder, source, again=False)


def _note(
    item: Item, result: "NDArray[Any] | Exception", n_samples: int, encoder: Encoder, source: bytes, outcome: Outcome
) -> None:
    try:
        if isinstance(result, Exception):
            raise result
        features = encoder.finish(_usable(result, encoder), item.id, item.emotion)
        outcome.records.append(Record(item.id, features, source, n_samples))
    except (AudioError, EncoderError) as error:
        outcome.failures.append(Failure.of(item.id, item.path, error))


def _usable(features: NDArray[Any], encoder: Encoder) -> NDArray[Any]:
    """Features that a store takes: finite, not empty, of the dimension stated, in the store's type."""
    if not np.isfinite(features).all():
        count = int((~np.isfinite(features)).sum())
        raise EncoderError("features that are not finite", found=f"{count} of {features.size} values")
    if not features.size:
        raise EncoderError("no features at all", expected="one frame or more", found=features.shape)
    if features.shape[-1] != encoder.dim:
        raise EncoderError(f"{encoder.name} gives another dimension", expected=encoder.dim, found=features.shape)
    if encoder.store_dtype == "float16" and features.dtype == np.float32:
        largest = float(np.abs(features).max())
        if largest > LARGEST:
            raise EncoderError(
                "features that float16 cannot hold", expected="at most 65504", found=f"{largest:g}", action=WIDER
            )
        return features.astype(np.float16)
    return features


LARGEST = 65504  # of float16
WIDER = "Leave out --store-dtype float16."
