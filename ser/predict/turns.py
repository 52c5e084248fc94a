"""Turns of speakers in a long recording: windows of speech, embedded by an encoder of speakers, in clusters.

The encoder and the windows of 1.5 s every 0.75 s are those of 3D-Speaker (arXiv:2403.19971). A window has one speaker: where
two speak at once, one of them is heard. Clusters are those that it makes of fewer than 40 windows
(`speakerlab/process/cluster.py`): average linkage of the cosine distance, and small clusters dissolved into the nearest mean.
Its limit of 0.4 is not taken, nor are the spectral clusters that it makes of longer recordings: both make several speakers of
one voice (`benchmarks/voices.py`).
"""

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.audio.reading import is_silent
from ser.audio.streams import Stream
from ser.errors import AudioError, ConfigError, SerError
from ser.extract.encoder import Encoder, load
from ser.extract.encoding import Outcome, encode_each
from ser.extract.options import EncoderOptions
from ser.extract.plan import batches
from ser.metadata.parsing import few
from ser.predict.head_encoders import audio_for
from ser.predict.predictions import OTHER_BAND
from ser.predict.windows import SpeechDetector, heard, windows

CAMPPLUS = "campplus-zh-en"  # the encoder of 3D-Speaker's diarization
# The SHA-256 of its weights, in a folder of any name.
CAMPPLUS_WEIGHTS = "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"
WINDOW, HOP = 1.5, 0.75  # s
FEW = 4  # windows: a speaker of fewer is named
SPOKEN = 0.5  # of a window: from this share of speech on it is one of a speaker
AT_ONCE = 64  # windows that are embedded together
SIMILARITY = 0.275  # cosine: less similar clusters are two speakers of `CAMPPLUS` (made calls of EmoDB)
LEAST = 4  # windows of a speaker, unless the number that was asked for would split another speaker
MOST = 4000  # windows, or groups of neighbours, that are clustered: 64 MB of distances
Vectors = NDArray[np.float64]
# Of an encoder and of memory: in a service recordings take turns, for one batch of windows or one search for clusters each.
_TURN = threading.Lock()


@dataclass(frozen=True, eq=False)
class Turns:
    """The speakers of a recording.

    Attributes:
        middles: of the windows of speech of each channel, s, in their order.
        speakers: of each of these windows, from 1, in the order in which they are first heard.
    """

    middles: list[NDArray[np.float64]]
    speakers: list[NDArray[np.int64]]

    def at(self, channel: int, seconds: float) -> int | None:
        """The speaker of the nearest window of speech; None where the channel has none.

        Args:
            channel: its place among those that are heard.
        """
        middles = self.middles[channel]
        if not len(middles):
            return None
        right = int(np.searchsorted(middles, seconds))
        left = max(right - 1, 0)
        right = min(right, len(middles) - 1)
        nearer = left if seconds - middles[left] <= middles[right] - seconds else right
        return int(self.speakers[channel][nearer])

    def within(self, channel: int, first: float, last: float) -> int | None:
        """The speaker of most windows of speech whose middle is from `first` to `last` s; without one, of the nearest."""
        middles = self.middles[channel]
        found = self.speakers[channel][(first <= middles) & (middles < last)]
        return int(np.bincount(found).argmax()) if len(found) else self.at(channel, (first + last) / 2)


class Diarizer:
    """A loaded encoder of speakers, which tells those of recordings apart.

    Args:
        name: the encoder's, or a folder.
        speakers: their number in a recording; None: as many as `SIMILARITY` makes, of `CAMPPLUS`.
        weights, device: see `ser.predict.judge.Judge`.
        say: called with each line that a user should see.

    Raises:
        ConfigError: another encoder without a number of speakers, as the limit is not one of its distances.
        EncoderError: its weights or a package are missing.
    """

    def __init__(self, name: str, speakers: int | None, weights: Path | None, device: str, say: Callable[[str], None]) -> None:
        options = EncoderOptions(level="utterance", weights=weights, device=device, announce=say)
        self.encoder: Encoder = load(name, "audio", options)
        self.encoder.prepare([], {})
        self.of_speakers = self.encoder.identity.get("plugin") == "speaker"
        self.knows_limit = self.encoder.identity.get("weights_sha256") == CAMPPLUS_WEIGHTS
        self.name, self.speakers, self.say = name, speakers, say
        self._refuse_unknown_limit()

    def asked(self, speakers: int | None, say: Callable[[str], None]) -> "Diarizer":
        """The same loaded encoder, for another number of speakers and another listener.

        Raises:
            ConfigError: as of the class.
        """
        found = copy.copy(self)
        found.speakers, found.say = speakers, say
        found._refuse_unknown_limit()
        return found

    def _refuse_unknown_limit(self) -> None:
        if self.speakers is None and not self.knows_limit:
            raise ConfigError(
                f"--speaker-encoder {self.name} without --speakers",
                expected=f"--speakers N beside it: the distance between two speakers is known of {CAMPPLUS} alone",
            )

    def turns(self, stream: Stream, channels: Sequence[int | None]) -> Turns:
        """Tell the speakers of a recording apart, in all channels together.

        Args:
            channels: that are heard; None is the mean of all.

        A recording that breaks off has the speakers of what was heard: its next reading says where and why.

        Raises:
            AudioError: it has fewer windows of speech than speakers are asked for.
        """
        places, found, whole = self._embedded(stream, channels)
        wanted = self.speakers or 1
        if found and len(found) < wanted:
            if not whole:  # what it breaks off with is said where its answers end
                return Turns([np.zeros(0) for _ in channels], [np.zeros(0, dtype=np.int64) for _ in channels])
            raise AudioError(
                f"{stream.name}: too little speech to tell {wanted} speakers apart",
                expected=f"{wanted} windows of {WINDOW:g} s or more",
                found=len(found),
            )
        owner = np.zeros(0, dtype=np.int64)
        if found:
            vectors = np.stack(found).astype(np.float64).reshape(len(found), -1)
            if not self.of_speakers:  # their columns have units, of which a cosine knows nothing
                vectors = (vectors - vectors.mean(0)) / np.maximum(vectors.std(0), 1e-9)
            middles = np.array([middle for _, middle in places])
            with _TURN:
                labels = clusters(vectors, self.speakers)
            owner = _numbered(labels, middles)
            self._say_doubts(stream, vectors, owner, middles)
        own = [np.array([k == channel for k, _ in places], dtype=bool) for channel in range(len(channels))]
        return Turns([np.array([m for k, m in places if k == c]) for c in range(len(channels))], [owner[o] for o in own])

    def _embedded(
        self, stream: Stream, channels: Sequence[int | None]
    ) -> tuple[list[tuple[int, float]], list[NDArray[Any]], bool]:
        """Of each window of speech channel's place and middle in s, in order, and features; True where all was read."""
        rate = stream.rate
        detectors = [SpeechDetector("silero", rate, round(HOP * rate)) for _ in channels]
        places: list[tuple[int, float]] = []
        found: list[NDArray[Any]] = []
        waiting: list[tuple[tuple[int, float], NDArray[np.float32]]] = []
        whole = True
        try:
            for window in windows(heard(stream, channels, detectors), round(WINDOW * rate), round(HOP * rate)):
                for k, detector in enumerate(detectors):
                    sound = np.ascontiguousarray(window.sound[:, k])
                    if detector.share(window.first, window.last) < SPOKEN or is_silent(sound):
                        continue
                    try:
                        audio = audio_for(self.encoder, sound, rate, stream.name)
                    except AudioError:  # shorter than the encoder's receptive field
                        continue
                    waiting.append(((k, (window.first + window.last) / 2 / rate), audio))
                if len(waiting) >= AT_ONCE:
                    self._embed(waiting, places, found)
        except AudioError:
            whole = False
        self._embed(waiting, places, found)
        order = sorted(range(len(places)), key=places.__getitem__)
        return [places[k] for k in order], [found[k] for k in order], whole

    def _say_doubts(self, stream: Stream, vectors: Vectors, owner: NDArray[np.int64], middles: NDArray[np.float64]) -> None:
        """Say how many speakers there are, and what makes that unsure: a narrow band, like voices, speakers of few windows."""
        counts = np.bincount(owner)[1:]
        found = f"{_counted(len(counts), 'speaker')} in {_counted(len(owner), 'window')} of speech"
        unsure = "" if self.speakers else "; emotions change a voice, and two may be alike: give --speakers N if known"
        self.say(f"{stream.name}: {found}{unsure}")
        if stream.rate < OTHER_BAND * self.encoder.sample_rate:
            self.say(
                f"{stream.name}: nothing above {stream.rate // 2} Hz, where {self.encoder.name}, which tells speakers apart, "
                f"hears up to {self.encoder.sample_rate // 2} Hz: expect more errors, check some turns by ear"
            )
        if self.speakers and self.knows_limit and len(counts) > 1:
            first, second, cosine = most_alike(vectors, owner)
            if cosine >= SIMILARITY:
                self.say(
                    f"{stream.name}: speakers {first} and {second} are as like as one voice (cosine {cosine:.2f}; two are "
                    f"mostly below {SIMILARITY:g}): are there {self.speakers}?"
                )
        quiet = (np.flatnonzero(counts < FEW) + 1).tolist()
        if quiet:
            shown = [f"{k} ({counts[k - 1]}, from {middles[owner == k].min() - WINDOW / 2:.1f} s on)" for k in quiet]
            self.say(
                f"{stream.name}: of {len(quiet)} of {_counted(len(counts), 'speaker')} there are fewer than {FEW} windows of "
                f"{WINDOW:g} s, too few to be sure of: {few(shown, 3)}"
            )

    def _embed(
        self,
        waiting: list[tuple[tuple[int, float], NDArray[np.float32]]],
        places: list[tuple[int, float]],
        found: list[NDArray[Any]],
    ) -> None:
        """Embed the waiting windows; one that cannot be used is left out."""
        costs = self.encoder.costs([len(audio) for _, audio in waiting]) if waiting else []
        for group in batches(costs, self.encoder.budget, self.encoder.equal):
            with _TURN:
                answers = encode_each(self.encoder, [waiting[k][1] for k in group], Outcome())
            for k, answer in zip(group, answers, strict=True):
                if isinstance(answer, SerError) and not isinstance(answer, AudioError):
                    raise answer  # the encoder's fault, not the window's
                if not isinstance(answer, AudioError) and np.isfinite(answer).all():
                    places.append(waiting[k][0])
                    found.append(answer)
        waiting.clear()


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _numbered(labels: NDArray[np.int64], middles: NDArray[np.float64]) -> NDArray[np.int64]:
    """The clusters as numbers from 1, in the order in which they are first heard."""
    order = list(dict.fromkeys(labels[np.argsort(middles, kind="stable")].tolist()))
    return np.array([order.index(label) + 1 for label in labels.tolist()], dtype=np.int64)


def clusters(vectors: Vectors, count: int | None) -> NDArray[np.int64]:
    """Clusters of vectors by average linkage of their cosine distances; each vector then goes to the nearest mean.

    Args:
        vectors: `(n, features)`, those of one channel in their order of time.
        count: of clusters; None: as many as are nowhere more similar than `SIMILARITY`, with `LEAST` vectors or more.

    Returns:
        The number of each one's cluster, `(n,)`.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist

    unit = _unit(vectors)
    if count == 1 or len(unit) == 1:
        return np.zeros(len(unit), dtype=np.int64)
    group = _groups(unit)
    # Half the squared distance of unit vectors is their cosine distance, and is none where a vector is 0.
    tree = linkage(pdist(_means(unit, group), "sqeuclidean") / 2, "average")
    if count is None:
        labels = fcluster(tree, 1 - SIMILARITY, "distance")[group]
        sizes = np.bincount(labels)
        kept = labels[sizes[labels] >= LEAST]
        means = _means(unit, labels, kept if len(kept) else sizes.argmax())
    else:
        means = _of_number(unit, group, tree, count)
    nearest: NDArray[np.int64] = (unit @ means.T).argmax(axis=1).astype(np.int64)
    return nearest


def most_alike(vectors: Vectors, labels: NDArray[np.int64]) -> tuple[int, int, float]:
    """The two clusters that are most alike, and the mean cosine of their vectors, as average linkage has it.

    Args:
        vectors: `(n, features)`.
        labels: of each its cluster, `(n,)`, of two or more.
    """
    unit, names = _unit(vectors), np.unique(labels)
    centres = np.stack([unit[labels == k].mean(axis=0) for k in names])
    cosines = np.where(np.triu(np.ones((len(names), len(names)), dtype=bool), 1), centres @ centres.T, -np.inf)
    one, other = np.unravel_index(cosines.argmax(), cosines.shape)
    return int(names[one]), int(names[other]), float(cosines[one, other])


def _of_number(unit: Vectors, group: NDArray[np.int64], tree: Vectors, count: int) -> Vectors:
    """The means of so many clusters.

    Few windows that are a cluster may be noise, or all that a speaker said. They are noise where the others are parted
    into `count` speakers less similar than `SIMILARITY`; otherwise one speaker would be split to lose another.
    """
    from scipy.cluster.hierarchy import fcluster

    first = fcluster(tree, count, "maxclust")[group]
    for cut in range(count, len(tree) + 2):
        labels = fcluster(tree, cut, "maxclust")[group]
        sizes = np.bincount(labels)
        if (sizes >= LEAST).sum() >= count:
            kept = np.argsort(-sizes, kind="stable")[:count]
            centres = np.stack([unit[labels == k].mean(axis=0) for k in kept])
            # The mean cosine of their windows, as of average linkage.
            if np.triu(centres @ centres.T, 1).max() < SIMILARITY:
                return _means(unit, labels, kept)
            break
    return _means(unit, first)


def _groups(unit: Vectors) -> NDArray[np.int64]:
    """The group of each vector: itself, or of many, alike neighbours in time (Ward's linkage), `MOST` groups in all.

    Neighbours are joined, not drawn, so that few windows of a speaker remain a group of their own.
    """
    count = len(unit)
    if count <= MOST:
        return np.arange(count)
    from scipy.sparse import diags
    from sklearn.cluster import AgglomerativeClustering

    beside = diags([1.0, 1.0], [-1, 1], shape=(count, count))
    found: NDArray[np.int64] = AgglomerativeClustering(MOST, connectivity=beside).fit_predict(unit)
    return found


def _means(unit: Vectors, labels: NDArray[np.integer[Any]], kept: Any = None) -> Vectors:
    """The means of clusters in the order of their labels, of length 1; those of all, or of some."""
    return _unit(np.stack([unit[labels == k].mean(axis=0) for k in np.unique(labels if kept is None else kept)]))


def _unit(vectors: Vectors) -> Vectors:
    found: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return found
