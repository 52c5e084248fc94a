"""Utterances with the same audio: the same samples, or fingerprints that differ in few bits.

Candidates for the second share words of their fingerprints at the same distance in time; sorting all words finds them, so the
time is n log n, not n squared. The fingerprints of each candidate are then laid over each other and their bits compared. Words
are compared in their order in time, so a copy that begins earlier, ends later or is louder is found; one that is played
faster or slower is not.

The limit, 20 % of the bits: copies by MP3, Vorbis, Opus, u-law, resampling, gain, cuts and noise 20 dB below mostly differ in
under 13 %; different recordings of one speaker, sentence and emotion in 24 % or more, in RAVDESS and in EmoDB, whose actors
repeat sentences on purpose (benchmarks/copies.py, docs/audit.md).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ser.audio.measure import Measured, Words
from ser.audio.reading import SILENCE_PEAK
from ser.metadata.copies import Copies

LIMIT = 0.20  # of the bits
VOTES = 2  # equal words at one distance in time that make a candidate
LEAST = 30  # words compared: 0.6 s of speech; with fewer, chance makes two recordings alike
HALF = 0.5  # of the shorter one's words must be compared
NEIGHBOURS = 8  # equal words compared with each other, at most: bounds the time where a word is in many utterances

Rows = NDArray[np.int64]
Numbers = NDArray[np.int32]


def find_copies(ids: Sequence[str], measured: Sequence[Measured]) -> Copies:
    """Find pairs with the same audio among utterances, given by their ids and measurements; silence is not counted."""
    heard = [k for k, m in enumerate(measured) if not m.fault and m.peak >= SILENCE_PEAK]
    first: dict[str, int] = {}
    same = [(first.setdefault(measured[k].sha256, k), k) for k in heard]
    identical = [(a, b) for a, b in same if a != b]
    alone = sorted(first.values())
    words = [measured[k].words for k in alone]
    near = sorted((alone[a], alone[b]) for a, b in _candidates(words) if _alike(words[a], words[b]))
    named = [tuple((ids[a], ids[b]) for a, b in pairs) for pairs in (identical, near)]
    return Copies(*named)


def _candidates(words: Sequence[Words]) -> list[tuple[int, int]]:
    """Find pairs of recordings that share words at one distance in time; the smaller number comes first."""
    lengths = np.array([len(w) for w in words], dtype=np.int64)
    if not lengths.sum():
        return []
    word = np.concatenate(words)
    owner = np.repeat(np.arange(len(words), dtype=np.int32), lengths)
    time = np.concatenate([np.arange(length, dtype=np.int32) for length in lengths])
    spoken = word != 0
    word, owner, time = word[spoken], owner[spoken], time[spoken]
    order = np.argsort(word, kind="stable")  # so by owner within a word
    word, owner, time = word[order], owner[order], time[order]
    span = 2 * int(lengths.max()) + 1
    votes = [_votes(word, owner, time, step, len(words), span) for step in range(1, NEIGHBOURS + 1)]
    keys, counts = np.unique(np.concatenate(votes), return_counts=True)
    pairs = np.unique(keys[counts >= VOTES] // span)
    return [(int(p) // len(words), int(p) % len(words)) for p in pairs]


def _votes(word: Words, owner: Numbers, time: Numbers, step: int, count: int, span: int) -> Rows:
    """Number the pair and the distance in time of each word that equals the one `step` places further in sorted order."""
    if len(word) <= step:
        return np.zeros(0, dtype=np.int64)
    equal = (word[step:] == word[:-step]) & (owner[step:] != owner[:-step])
    a, b = owner[:-step][equal].astype(np.int64), owner[step:][equal]  # a is the smaller
    distance = time[step:][equal] - time[:-step][equal] + span // 2
    found: Rows = (a * count + b) * span + distance
    return found


def _alike(one: Words, other: Words) -> bool:
    """Test for the same recording: its fingerprints differ in few bits at the distance where most words coincide."""
    distances = (np.flatnonzero((other == word) & (word != 0)) - position for position, word in enumerate(one) if word != 0)
    found, counts = np.unique(np.concatenate(list(distances)), return_counts=True)
    best = found[np.argsort(-counts, kind="stable")[:3]]
    return any(error_rate(one, other, int(distance)) <= LIMIT for distance in best)


def error_rate(one: Words, other: Words, distance: int) -> float:
    """The share of bits that differ where word `t` of one lies on word `t + distance` of the other; 1 for too few."""
    first, second = max(0, -distance), max(0, distance)
    length = min(len(one) - first, len(other) - second)
    if length <= 0:
        return 1.0
    a, b = one[first : first + length], other[second : second + length]
    both = (a != 0) & (b != 0)
    shorter = min(np.count_nonzero(one), np.count_nonzero(other))
    if both.sum() < max(LEAST, HALF * shorter):
        return 1.0
    return float(np.unpackbits((a[both] ^ b[both]).view(np.uint8)).mean())
