"""Augmented views at extraction: an encoder on audio that was changed first, into a store of its own beside the original.

The change of an utterance is a function of its id, the view and the seed alone: it does not depend on the batch, the order,
other utterances, or the encoder, but for its sample rate. Audio is changed at the rate that the encoder reads, so
that a signal-to-noise ratio is that of its input.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError, EncoderError
from ser.extract.provenance import versions
from ser.extract.views import effects, policies
from ser.extract.views.recordings import RecordingFolder
from ser.files import JsonObject
from ser.metadata.labels import Scheme
from ser.optional import need

# What computes an operation, by the names of package and module; of an extra but NumPy, SciPy, soxr and soundfile.
PACKAGES = {
    "speed": ("soxr", "soxr"),
    "tempo": ("python-stretch", "python_stretch"),
    "pitch": ("python-stretch", "python_stretch"),
    "pink": ("colorednoise", "colorednoise"),
    "reverb": ("scipy", "scipy"),
    "lowpass": ("soxr", "soxr"),
    "gsm": ("soundfile", "soundfile"),
    "opus": ("soundfile", "soundfile"),
}
ROOMS = ("pyroomacoustics", "pyroomacoustics")


@dataclass(frozen=True)
class AudioView:
    """One view.

    Attributes:
        name: see `policies.names`.
        seed: of its draws.
        noises: recordings for `noise`; None is white noise.
        impulses: measured responses for `reverb`; None simulates rooms.
        scheme: by whose classes a class-differentiated view chooses; None for other views.
    """

    name: str
    seed: int = 0
    noises: RecordingFolder | None = None
    impulses: RecordingFolder | None = None
    scheme: Scheme | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes whose utterances have this view; () where all have."""
        return () if self.scheme is None else tuple(c for c in self.scheme.classes if c in policies.CLASSWISE)

    def stream(self, utterance: str, purpose: str) -> np.random.Generator:
        """A random stream of an utterance in this view."""
        text = "\x1f".join((str(self.seed), self.name, utterance, purpose))
        return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little"))

    def operations(self, utterance: str, emotion: str = "") -> list[policies.Operation]:
        """The operations on an utterance, in order."""
        return policies.operations(self.name, emotion, lambda purpose: self.stream(utterance, purpose))

    def apply(self, audio: effects.Audio, rate: int, utterance: str, emotion: str = "") -> effects.Audio:
        """The utterance's audio in this view.

        Args:
            audio: `(samples,)`, not silent.
            rate: Hz.
            emotion: its class, of a class-differentiated view.

        Raises:
            AudioError: a recording that is to be added cannot be read.
        """
        for name, number in self.operations(utterance, emotion):
            audio = self._done(name, number, audio, rate, self.stream(utterance, name))
        return audio

    def _done(self, name: str, number: float, audio: effects.Audio, rate: int, rng: np.random.Generator) -> effects.Audio:
        if name in ("gain", "clip"):
            return cast(effects.Audio, getattr(effects, name)(audio, number))
        if name in ("speed", "tempo", "pitch", "lowpass", "opus"):
            return cast(effects.Audio, getattr(effects, name)(audio, rate, number))
        if name == "gsm":
            return effects.gsm(audio, rate)
        if name == "reverb":
            if self.impulses is not None:
                return effects.reverberate(audio, self.impulses.impulse(rate, rng))
            return effects.reverberate(audio, effects.room_impulse(self.seed, int(rng.integers(effects.ROOMS)), rate))
        if name == "noise" and self.noises is not None:
            return effects.add(audio, self.noises.noise(len(audio), rate, rng), number)
        return effects.add(audio, (effects.pink if name == "pink" else effects.white)(len(audio), rng), number)

    def mask(self, frames: NDArray[Any], utterance: str, emotion: str) -> NDArray[Any]:
        """A log-mel spectrogram `(frames, bands)` with the masks of the emotion's policy; masked is 0, its mean."""
        strength = policies.CLASSWISE[emotion].get("masks") if self.classes else None
        if strength is None:
            return frames
        masked: NDArray[Any] = frames.copy()
        rng = self.stream(utterance, "masks")
        for axis, (count, widest) in enumerate(policies.MASKS[strength].values()):
            length = frames.shape[axis]
            most = min(widest, int(policies.LONGEST * length)) if axis == 0 else min(widest, length)
            for _ in range(count):
                width = int(rng.integers(most + 1))
                first = int(rng.integers(length - width + 1))
                masked[(slice(None),) * axis + (slice(first, first + width),)] = 0
        return masked

    def definition(self, masks: bool) -> JsonObject:
        """The definition of this view, for the identity of its stores. JSON-able."""
        used = policies.uses(self.name)
        packages = [PACKAGES[o][0] for o in sorted(used) if o in PACKAGES]
        found: JsonObject = {"name": self.name, "seed": self.seed, **policies.definition(self.name)}
        if "noise" in used:
            found["noise"] = "white" if self.noises is None else self.noises.definition
        if "reverb" in used:
            found["rooms"] = effects.rooms_definition() if self.impulses is None else self.impulses.definition
            packages += [ROOMS[0]] * (self.impulses is None)
        if self.scheme is not None:
            found |= {"scheme": self.scheme.name, "labels": self.scheme.mapping, "classes": self.classes}
            found["masked"] = masks
        return {**found, "versions": versions("numpy", *dict.fromkeys(packages))}


def make_views(
    words: Sequence[str],
    seed: int = 0,
    noises: RecordingFolder | None = None,
    impulses: RecordingFolder | None = None,
    scheme: Scheme | None = None,
) -> list[AudioView]:
    """The views that a user names.

    Args:
        words: see `policies.names`.
        scheme: of class-differentiated views.

    Raises:
        ConfigError: a word that does not name a view, or recordings or a scheme that none of the views uses.
        EncoderError: a package is not installed.
    """
    wanted = policies.view_names(list(words))
    used: set[str] = set().union(*map(policies.uses, wanted)) if wanted else set()
    for given, operation, option in ((noises, "noise", "--noise-folder"), (impulses, "reverb", "--impulses")):
        if given is not None and operation not in used:
            raise ConfigError(f"{option}: none of the views {', '.join(wanted)} has {operation}")
    for operation in used & set(PACKAGES):
        need(PACKAGES[operation][1], "views", kind=EncoderError)
    if "reverb" in used and impulses is None:
        need(ROOMS[1], "views", kind=EncoderError)
    views = []
    for name in wanted:
        does, by_class = policies.uses(name), policies.kind_of_view(name) == "classwise"
        views.append(
            AudioView(
                name,
                seed,
                noises if "noise" in does else None,
                impulses if "reverb" in does else None,
                scheme if by_class else None,
            )
        )
        if by_class and len(views[-1].classes) < 2:
            raise ConfigError(
                f"--views {name} under scheme {scheme.name if scheme else 'none'}",
                expected=f"classes of {', '.join(policies.CLASSWISE)}",
                action="Choose another with --view-scheme.",
            )
    return views
