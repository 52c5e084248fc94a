"""Simulated rooms: impulse responses by the image source method (Allen & Berkley, JASA 1979), computed by pyroomacoustics.

A view has `ROOMS` rooms, drawn from its seed: length, width, height, walls, and the places of speaker and microphone. An
utterance is heard in one of them.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ser.files import JsonObject

ROOMS = 32
SIZES = ((4.0, 8.0), (3.5, 6.0), (2.6, 3.4))  # m
RT60 = (0.2, 0.5)  # s, by Sabine's formula; the RT60 measured of the image sources is up to a quarter longer
WALL, APART = 0.5, 1.0  # m, at least: from the walls, and between speaker and microphone


def definition() -> JsonObject:
    """The definition of the rooms, without the seed. JSON-able."""
    return {"simulated": ROOMS, "sizes_m": SIZES, "rt60_s": RT60, "method": "image sources"}


@lru_cache(maxsize=2 * ROOMS)
def impulse(seed: int, number: int, rate: int) -> NDArray[np.float64]:
    """The response of one room, `(samples,)`.

    Args:
        seed: of the view's rooms.
        number: 0 to `ROOMS` - 1.
        rate: Hz.
    """
    rng = np.random.default_rng([seed, number])
    size = [rng.uniform(*between) for between in SIZES]
    return response(rng.uniform(*RT60), size, *_places(size, rng), rate)


def response(
    rt60: float, size: list[float], speaker: NDArray[np.float64], microphone: NDArray[np.float64], rate: int
) -> NDArray[np.float64]:
    """The response of a room with equal walls.

    Args:
        rt60: s after which a sound has faded by 60 dB.
        size, speaker, microphone: m.
    """
    import pyroomacoustics

    absorption, order = pyroomacoustics.inverse_sabine(rt60, size)
    walls = pyroomacoustics.Material(absorption)
    room = pyroomacoustics.ShoeBox(size, fs=rate, materials=walls, max_order=order)
    room.add_source(speaker)
    room.add_microphone(microphone)
    room.compute_rir()
    return np.asarray(room.rir[0][0], dtype=np.float64)


def _places(size: list[float], rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw the places of speaker and microphone."""
    while True:
        first, second = rng.uniform(WALL, np.array(size) - WALL, (2, 3))
        if np.linalg.norm(first - second) >= APART:
            return first, second
