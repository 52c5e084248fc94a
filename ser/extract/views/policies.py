"""The operations of a view: a fixed one, a random mixture, or those of the policy of an emotion.

An operation is a name and a number: `speed` and `tempo` a factor, `pitch` semitones, `noise`, `white` and `pink` a
signal-to-noise ratio in dB, `gain` dB, `clip` the percentage of samples that are cut off, `lowpass` Hz, `opus` kbit/s;
of those in `PLAIN` the number is not used. They are done in the order of `ORDER`: what the speaker would do, the room, then
noise and gain of the recording, its clipping, and the channel.
"""

import re
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ser.errors import ConfigError
from ser.features.stores.names import LISTS
from ser.files import JsonObject

Operation: TypeAlias = tuple[str, float]
Stream: TypeAlias = Callable[[str], np.random.Generator]  # of a purpose

ORDER = ("speed", "tempo", "pitch", "reverb", "noise", "white", "pink", "gain", "clip", "lowpass", "gsm", "opus")
PLAIN = ("reverb", "gsm")  # operations without a number
RANGES: dict[str, tuple[float, float, float | None]] = {  # lowest, highest, and what would change nothing
    "speed": (0.5, 2, 1),
    "tempo": (0.5, 2, 1),
    "pitch": (-12, 12, 0),
    "noise": (-20, 60, None),
    "white": (-20, 60, None),
    "pink": (-20, 60, None),
    "gain": (-40, 40, 0),
    "clip": (0.1, 50, None),
    "lowpass": (200, 20000, None),
    "opus": (6, 128, None),
}
SIGNED = ("pitch", "gain")
FORMS = (
    "speed0.95, tempo1.1, noise15, white15, pink20, pitch+2, gain-6, reverb, clip10, lowpass3400, gsm, opus16, tta, suite, "
    "classwise1, or a number of random views"
)
# A random view: one to three of these, each with a number between the two.
RANDOM: dict[str, tuple[float, float]] = {
    "speed": (0.9, 1.1),
    "pitch": (-2, 2),
    "reverb": (0, 0),
    "noise": (10, 20),
    "pink": (10, 20),
    "gain": (-6, 6),
}
MOST = 3

# By emotion; `one of` is drawn for each utterance. Masks are those of SpecAugment, on a stored log-mel spectrogram.
CLASSWISE: dict[str, JsonObject] = {
    "anger": {"pitch": (-3, 3), "masks": "strong"},
    "happiness": {"noise": (10, 20), "one of": {"pitch": (-1, 1), "tempo": (0.95, 1.05)}},
    "sadness": {"reverb": (0, 0), "pink": (10, 20)},
    "neutral": {"white": (15, 25), "masks": "slight"},
}
# Masks in time and over bands: their number, and the widest, in frames or bands; in time a fifth of the utterance at most.
MASKS = {"strong": {"time": (2, 40), "bands": (2, 12)}, "slight": {"time": (1, 15), "bands": (1, 6)}}
LONGEST = 0.2
VIEWS = 100  # random ones, at most: each is a store as large as the original


def view_names(words: list[str]) -> list[str]:
    """The views that a user names, written in one way.

    Args:
        words: names, `tta`, `suite`, or a number of random views.

    Raises:
        ConfigError: a word that does not name a view, or a number out of its range.

    >>> view_names(["tta", "pitch2", "2"])
    ['speed0.95', 'speed1.05', 'noise15', 'noise20', 'pitch+2', 'random1', 'random2']
    """
    found: list[str] = []
    for word in words:
        if word in LISTS:
            found += LISTS[word]
        elif word.isdecimal():
            if not 0 < int(word) <= VIEWS:
                raise ConfigError(f"--views {word}", expected=f"1 to {VIEWS} random views")
            found += [f"random{k + 1}" for k in range(int(word))]
        else:
            found.append(_name(word))
    return list(dict.fromkeys(found))


def _name(word: str) -> str:
    if word in PLAIN or re.fullmatch(r"(random|classwise)[1-9]\d*", word):
        return word
    kind, number = _parsed(word)
    return f"{kind}{number:+g}" if kind in SIGNED else f"{kind}{number:g}"


def _parsed(word: str) -> Operation:
    match = re.fullmatch(rf"({'|'.join(RANGES)})([-+]?\d+(?:\.\d+)?)", word)
    if match is None:
        raise ConfigError(f"--views {word}: there is no such view", expected=FORMS)
    lowest, highest, same = RANGES[match[1]]
    number = float(match[2])
    if not lowest <= number <= highest or number == same:
        but = "" if same is None else f", and not {same:g}"
        raise ConfigError(f"--views {word}", expected=f"{match[1]} of {lowest:g} to {highest:g}{but}")
    return match[1], number


def kind_of_view(view: str) -> str:
    """`random`, `classwise` or `fixed`."""
    return next((k for k in ("random", "classwise") if view.startswith(k)), "fixed")


def definition(view: str) -> JsonObject:
    """The definition of a view. JSON-able."""
    if kind_of_view(view) == "random":
        return {"random": RANDOM, "most": MOST}
    if kind_of_view(view) == "classwise":
        return {"classwise": CLASSWISE, "masks": MASKS}
    return {"operations": [list(o) for o in operations(view, "", _none)]}


def uses(view: str) -> set[str]:
    """The operations that a view may do."""
    if kind_of_view(view) == "random":
        return set(RANDOM)
    if kind_of_view(view) == "classwise":
        return {o for policy in CLASSWISE.values() for o in [*policy, *policy.get("one of", ())]} & set(ORDER)
    return {name for name, _ in operations(view, "", _none)}


def operations(view: str, emotion: str, stream: Stream) -> list[Operation]:
    """The operations on an utterance, in order.

    Args:
        emotion: the class under the view's scheme; read by a class-differentiated view alone.
        stream: random streams of the utterance in this view.
    """
    which = kind_of_view(view)
    if which == "random":
        rng = stream("what")
        count = int(rng.integers(1, MOST + 1))
        chosen = rng.choice(sorted(RANDOM), count, replace=False).tolist()
        return _drawn({name: RANDOM[name] for name in chosen}, stream)
    if which == "classwise":
        policy = {k: v for k, v in CLASSWISE[emotion].items() if k in ORDER}
        others = CLASSWISE[emotion].get("one of", {})
        if others:
            name = str(stream("what").choice(sorted(others)))
            policy[name] = others[name]
        return _drawn(policy, stream)
    return [(view, 0.0) if view in PLAIN else _parsed(view)]


def _drawn(policy: dict[str, tuple[float, float]], stream: Stream) -> list[Operation]:
    """Each operation with a number drawn between its two, from a stream of its own."""
    return [(name, float(stream(f"{name} number").uniform(*policy[name]))) for name in ORDER if name in policy]


def _none(purpose: str) -> np.random.Generator:
    raise AssertionError(f"a fixed view draws {purpose}")
