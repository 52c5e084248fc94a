"""Voices: speakers, emotions and recording conditions as numbers.

The directions in which an emotion moves pitch, energy, tempo and voice quality are those of Scherer (1986, Psychological
Bulletin 99, 143-165; 2003, Speech Communication 40, 227-256) and of Juslin & Laukka (2003, Psychological Bulletin 129,
770-814, tables 7 and 11); the amounts were chosen so that a simple classifier finds the emotions of unheard speakers
often, but far from always.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Style:
    """The departure of an utterance from an even, modal voice.

    Attributes:
        pitch: mean of f0, semitones.
        span: f0 movements, natural logarithm of a factor.
        tempo: durations, natural logarithm of a factor.
        level: dB.
        tension: of the voice source, from -1 (lax: long open phase, steep spectrum) to 1 (pressed).
        breath: aspiration noise, dB.
        rough: jitter and shimmer, natural logarithm of a factor.
        tremor: slow shaking of f0, semitones.
        rise: f0 at the end against the beginning, semitones.
        smile: formants, natural logarithm of a factor (spread lips shorten the tract).
    """

    pitch: float
    span: float
    tempo: float
    level: float
    tension: float
    breath: float
    rough: float
    tremor: float
    rise: float
    smile: float


#                 pitch  span  tempo level tension breath rough tremor rise  smile
EMOTIONS = {
    "ANG": (3.2, 0.40, -0.12, 6.5, 0.90, 0.0, 0.50, 0.00, -1.0, 0.00),
    "DIS": (-1.0, 0.10, 0.18, -0.5, 0.25, 1.0, 0.70, 0.00, -1.5, -0.03),
    "FEA": (4.5, -0.30, -0.14, -1.0, 0.05, 4.0, 0.35, 0.50, 1.0, 0.00),
    "HAP": (4.0, 0.50, -0.04, 2.0, 0.10, 1.0, -0.15, 0.00, 1.5, 0.07),
    "NEU": (0.0, 0.00, 0.00, 0.0, 0.00, 0.0, 0.00, 0.00, 0.0, 0.00),
    "SAD": (-1.5, -0.45, 0.18, -5.0, -0.60, 5.0, 0.10, 0.15, -0.8, -0.01),
}
# Standard deviations: of a speaker's ordinary voice, of a speaker's own way with an emotion, of single utterances.
SPEAKER = np.array([0.0, 0.10, 0.05, 1.1, 0.12, 1.3, 0.12, 0.03, 0.35, 0.007])
HABIT = np.array([0.8, 0.10, 0.045, 0.9, 0.12, 1.0, 0.13, 0.05, 0.45, 0.009])
CHANCE = np.array([0.7, 0.09, 0.040, 0.8, 0.11, 0.8, 0.11, 0.04, 0.45, 0.006])
STRENGTH = {"LO": 0.55, "MD": 0.85, "HI": 1.2, "XX": 1.0}


@dataclass(frozen=True)
class Accent:
    """A recording place and the habits of those who speak there.

    Attributes:
        first_actor: number of the first speaker.
        pitch: of all speakers against the average, semitones.
        tempo: natural logarithm of a factor.
        expression: emotion -> factor of how far it is expressed.
        shift: emotion -> numbers added to its departures (the fields of `Style` in order).
        band: the channel's -3 dB points in Hz.
        tilt: of a shelf above some 2 kHz, dB.
        floor: background noise, dB below full scale.
        echo: seconds until the room's sound has decayed by 60 dB; 0 for none.
        echo_level: level of the room's sound, dB against the direct one.
    """

    first_actor: int
    pitch: float
    tempo: float
    expression: dict[str, float] = field(default_factory=dict)
    shift: dict[str, tuple[float, ...]] = field(default_factory=dict)
    band: tuple[float, float] = (60.0, 7600.0)
    tilt: float = 0.0
    floor: float = -68.0
    echo: float = 0.0
    echo_level: float = -14.0


ACCENTS = {
    "studio": Accent(first_actor=1001, pitch=0.0, tempo=0.0),
    "room": Accent(
        first_actor=1051,
        pitch=-0.8,
        tempo=0.08,
        expression={"ANG": 0.9, "HAP": 0.85, "SAD": 1.1, "FEA": 0.9},
        shift={
            "ANG": (-2.0, -0.10, 0.06, -1.5, 0.15, 0.0, 0.20, 0.0, -0.5, 0.0),
            "FEA": (0.5, 0.10, 0.00, -1.5, -0.20, 2.0, 0.00, 0.2, 0.5, 0.0),
            "DIS": (0.5, 0.00, 0.06, 0.5, -0.10, 0.0, -0.20, 0.0, 0.5, 0.0),
        },
        band=(100.0, 7200.0),
        tilt=-1.5,
        floor=-67.0,
        echo=0.15,
    ),
}


@dataclass(frozen=True)
class Speaker:
    """A voice.

    Attributes:
        actor: number.
        sex: Female or Male.
        age: years.
        f0: median pitch, Hz.
        tract: factor of all formants: 1 for an average man; a shorter vocal tract gives more.
        gain: distance to the microphone, dB.
        ordinary: departures of the ordinary voice, `(10,)` in the order of `Style`.
        expressive: factor of how far emotions are expressed.
        habits: the differences of this speaker for each emotion, `(6, 10)`.
    """

    actor: int
    sex: str
    age: int
    f0: float
    tract: float
    gain: float
    ordinary: Array
    expressive: float
    habits: Array


def speaker(seed: int, actor: int, accent: Accent) -> Speaker:
    """The voice of an actor: the same for a seed and a number, whoever else is in the corpus."""
    rng = np.random.default_rng([seed, actor])
    male = (actor - accent.first_actor) % 2 == 0
    return Speaker(
        actor,
        "Male" if male else "Female",
        int(rng.integers(20, 70)),
        float((112 if male else 196) * 2 ** ((rng.normal(0, 2.2) + accent.pitch) / 12)),
        float((1.0 if male else 1.16) * rng.lognormal(0, 0.035)),
        float(rng.normal(0, 1.2)),
        rng.normal(0, SPEAKER),
        float(rng.lognormal(0, 0.15)),
        rng.normal(0, HABIT, (len(EMOTIONS), len(HABIT))),
    )


def style(who: Speaker, emotion: str, level: str, accent: Accent, rng: np.random.Generator) -> Style:
    """Choose the way in which a speaker says one utterance: of an emotion of `EMOTIONS`, at a level of `STRENGTH`."""
    departure = np.array(EMOTIONS[emotion]) * accent.expression.get(emotion, 1.0)
    departure = departure + np.array(accent.shift.get(emotion, np.zeros(len(departure))))
    departure = (departure + who.habits[list(EMOTIONS).index(emotion)]) * who.expressive * STRENGTH[level]
    values = who.ordinary + departure + rng.normal(0, CHANCE)
    values[2] += accent.tempo
    return Style(*map(float, values))
