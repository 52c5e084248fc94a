"""Who speaks when in a long recording: windows of speech, embedded by an encoder of speakers, in clusters.

The encoder and the windows of 1.5 s every 0.75 s are those of 3D-Speaker (arXiv:2403.19971). A window has one speaker: where
two speak at once, one of them is heard.
"""

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
from ser.predict.clusters import clusters
from ser.predict.head_encoders import audio_for
from ser.predict.speech import SpeechDetector
from ser.predict.windows import heard, windows

CAMPPLUS = "campplus-zh-en"  # the encoder of 3D-Speaker's diarization
CAMPPLUS_WEIGHTS = (
    "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"  # their SHA-256, in a folder of any name
)
WINDOW, HOP = 1.5, 0.75  # s
FEW = 4  # windows: a speaker of fewer is named
SPOKEN = 0.5  # of a window: from this share of speech on it is one of a speaker
AT_ONCE = 64  # windows that are embedded together


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

    def __init__(
        self,
        name: str,
        speakers: int | None,
        weights: Path | None,
        device: str,
        say: Callable[[str], None],
    ) -> None:
        options = EncoderOptions(level="utterance", weights=weights, device=device, announce=say)
        self.encoder: Encoder = load(name, "audio", options)
        self.encoder.prepare([], {})
        self.of_speakers = self.encoder.identity.get("plugin") == "speaker"
        self.speakers, self.say = speakers, say
        if speakers is None and self.encoder.identity.get("weights_sha256") != CAMPPLUS_WEIGHTS:
            raise ConfigError(
                f"--speaker-encoder {name} without --speakers",
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
            owner = _numbered(clusters(vectors, self.speakers), middles)
            doubt = (
                "" if self.speakers else "; emotions change a voice, and two may be alike: give --speakers N if known"
            )
            self.say(f"{stream.name}: {owner.max()} speakers in {len(found)} windows of speech{doubt}")
            self._name_quiet(stream.name, owner, middles)
        own = [np.array([k == channel for k, _ in places], dtype=bool) for channel in range(len(channels))]
        return Turns(
            [np.array([m for k, m in places if k == c]) for c in range(len(channels))], [owner[o] for o in own]
        )

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

    def _name_quiet(self, name: str, owner: NDArray[np.int64], middles: NDArray[np.float64]) -> None:
        """Name the speakers of few windows."""
        for speaker, count in enumerate(np.bincount(owner)):
            if 0 < count < FEW:
                first = middles[owner == speaker].min() - WINDOW / 2
                self.say(
                    f"{name}: speaker {speaker} has {count} windows of speech ({WINDOW:g} s each, the first at {first:.1f} s): "
                    "too few to be sure of"
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
            answers = encode_each(self.encoder, [waiting[k][1] for k in group], Outcome())
            for k, answer in zip(group, answers, strict=True):
                if isinstance(answer, SerError) and not isinstance(answer, AudioError):
                    raise answer  # the encoder's fault, not the window's
                if not isinstance(answer, AudioError) and np.isfinite(answer).all():
                    places.append(waiting[k][0])
                    found.append(answer)
        waiting.clear()


def _numbered(labels: NDArray[np.int64], middles: NDArray[np.float64]) -> NDArray[np.int64]:
    """The clusters as numbers from 1, in the order in which they are first heard."""
    order = list(dict.fromkeys(labels[np.argsort(middles, kind="stable")].tolist()))
    return np.array([order.index(label) + 1 for label in labels.tolist()], dtype=np.int64)
