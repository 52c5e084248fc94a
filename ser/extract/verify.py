"""Encoding some utterances again, each alone: how far is what the store holds from that?"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import AudioError, EncoderError
from ser.extract.lane import Lane
from ser.extract.work import Decoded, Outcome, gather
from ser.features.stores.store import FeatureStore


def verify(lane: Lane, count: int) -> None:
    """Compare stored features with those of batches of one, and note the largest difference in the store's provenance.

    The difference is ||stored - alone|| / ||alone||, of vectors: at frame level the largest over an utterance's frames.
    The utterances are chosen by a hash of their ids, the shortest and the longest first: always the same ones.

    Args:
        count: how many; all where there are fewer.

    Raises:
        EncoderError: an utterance that is stored cannot be encoded now, or gives another number of frames.
    """
    encoder = lane.encoder
    with FeatureStore(lane.writer.path) as store:
        there = [item for item in lane.items if item.id in store]
        by_hash = sorted(there, key=lambda item: hashlib.sha256(item.id.encode()).digest())
        sizes = dict(zip(store.ids, store.index(store.ids).n_samples, strict=True))
        by_size = sorted(there, key=lambda item: (sizes[item.id], len(item.text)))
        chosen = list(dict.fromkeys([*by_size[:1], *by_size[-1:], *by_hash]))[:count]
        largest = 0.0
        for item in chosen:
            outcome = Outcome()
            inputs = gather(encoder, [item], Decoded(), outcome)
            if not inputs:
                raise AudioError(f"{item.id} is stored, and cannot be used now: {outcome.failures[0].reason}")
            alone = encoder.finish(encoder.encode([inputs[0][1]])[0], item.id, item.emotion)
            largest = max(largest, difference(store[item.id], alone, item.id))
    lane.verified = len(chosen), largest
    lane.writer.provenance["verified"] = {"utterances": len(chosen), "largest_difference": largest, "against": "alone"}


def difference(stored: NDArray[Any], alone: NDArray[Any], name: str) -> float:
    """Largest relative difference of the vectors of two arrays `(..., dim)`.

    Raises:
        EncoderError: they have different shapes.
    """
    if stored.shape != alone.shape:
        raise EncoderError(f"{name}: another shape when encoded again", expected=stored.shape, found=alone.shape)
    left, right = stored.astype(np.float64), alone.astype(np.float64)
    distance = np.linalg.norm(left - right, axis=-1)
    return float((distance / np.maximum(np.linalg.norm(right, axis=-1), 1e-30)).max(initial=0.0))
