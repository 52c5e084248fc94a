"""Effects on audio, as pure functions of `(samples,)` float32, processed by soxr, Signalsmith, SciPy and libsndfile.

Speed is resampling, so that pitch and formants move with the tempo (Ko et al., Interspeech 2015); pitch and tempo alone are
changed by Signalsmith Stretch (python-stretch; MIT), whose random phases are seeded here.

The impulse responses of simulated rooms are computed by the image source method (Allen & Berkley, JASA 1979; pyroomacoustics).
A view has `ROOMS` rooms, drawn from its seed: length, width, height, walls, and the places of speaker and microphone. An
utterance is heard in one of them.
"""

from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.files import JsonObject

Audio = NDArray[np.float32]
OPUS_RATES = (6, 256)  # kbit/s of libsndfile's compression levels 1 and 0, linear between them
ROOMS = 32
SIZES = ((4.0, 8.0), (3.5, 6.0), (2.6, 3.4))  # m
RT60 = (0.2, 0.5)  # s, by Sabine's formula; the RT60 measured of the image sources is up to a quarter longer
WALL, APART = 0.5, 1.0  # m, at least: from the walls, and between speaker and microphone


def speed(audio: Audio, rate: int, factor: float) -> Audio:
    """Play `factor` times as fast: `samples / factor` samples, all frequencies times `factor`."""
    import soxr

    faster: Audio = soxr.resample(audio, rate * factor, rate, quality="HQ")
    return faster


def tempo(audio: Audio, rate: int, factor: float) -> Audio:
    """Play `factor` times as fast, at the same pitch."""
    return _stretched(audio, rate, factor, 0.0)


def pitch(audio: Audio, rate: int, semitones: float) -> Audio:
    """Raise the pitch by some semitones, at the same length."""
    return _stretched(audio, rate, 1.0, semitones)


def _stretched(audio: Audio, rate: int, factor: float, semitones: float) -> Audio:
    from python_stretch import Signalsmith

    stretch = Signalsmith.Stretch(0)
    stretch.preset(1, rate)
    stretch.setTransposeSemitones(semitones)
    stretch.setTimeFactor(factor)
    changed: Any = stretch.process(audio[None])
    return np.asarray(changed[0], dtype=np.float32)


def gain(audio: Audio, decibels: float) -> Audio:
    """Raise the level by some dB. Nothing is clipped: samples may lie beyond full scale."""
    return np.asarray(audio * 10 ** (decibels / 20), dtype=np.float32)


def add(audio: Audio, noise: NDArray[np.float64], snr: float) -> Audio:
    """Add noise at a signal-to-noise ratio over the whole utterance.

    The ratio is `10 log10(var(audio) / var(noise))`: of powers without the mean, as a constant offset cannot be heard.

    Args:
        noise: `(samples,)`, of any level but 0.
        snr: dB.
    """
    plain = noise - noise.mean()
    factor = np.sqrt(np.var(audio, dtype=np.float64) / np.var(plain) / 10 ** (snr / 10))
    return np.asarray(audio + factor * plain, dtype=np.float32)


def white(samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Gaussian noise."""
    return rng.standard_normal(samples)


def pink(samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise whose power falls with 1/f (Timmer & König, A&A 1995; the package colorednoise)."""
    from colorednoise import powerlaw_psd_gaussian

    noise: NDArray[np.float64] = powerlaw_psd_gaussian(1, samples, random_state=rng)
    return noise


def reverberate(audio: Audio, impulse: NDArray[np.float64]) -> Audio:
    """Convolve audio with the impulse response of a room; length and power stay the same.

    The direct sound, the response's largest value, stays where it was; the echoes of the last samples are cut off.
    """
    from scipy.signal import oaconvolve

    direct = int(np.abs(impulse).argmax())
    wet = oaconvolve(audio.astype(np.float64), impulse)[direct : direct + len(audio)]
    power = np.mean(np.square(audio, dtype=np.float64))
    return np.asarray(wet * np.sqrt(power / max(np.mean(wet**2), 1e-30)), dtype=np.float32)


def clip(audio: Audio, percent: float) -> Audio:
    """Cut off the loudest samples at the level that a percentage of all samples lies above."""
    level = np.quantile(np.abs(audio), 1 - percent / 100)
    return np.asarray(np.clip(audio, -level, level), dtype=np.float32)


def lowpass(audio: Audio, rate: int, hertz: float) -> Audio:
    """Take away the frequencies above some Hz: resampled to twice as many samples a second and back; all stays where it was."""
    if 2 * hertz >= rate:
        return audio
    return _through(audio, rate, 2 * hertz, lambda narrow: narrow)


def gsm(audio: Audio, rate: int) -> Audio:
    """Code and decode by GSM 06.10 full rate: 8 kHz, 13 kbit/s (ETSI EN 300 961; libsndfile's own)."""
    return _through(audio, rate, 8000, lambda narrow: _coded(narrow, 8000, "WAV", "GSM610"))


def opus(audio: Audio, rate: int, kilobits: float) -> Audio:
    """Code and decode by Opus (RFC 6716) at some kbit/s, at 16 kHz."""
    level = 1 - (kilobits - OPUS_RATES[0]) / (OPUS_RATES[1] - OPUS_RATES[0])
    return _through(audio, rate, 16000, lambda wide: _coded(wide, 16000, "OGG", "OPUS", compression_level=level))


def _through(audio: Audio, rate: int, other: float, change: Callable[[Audio], Audio]) -> Audio:
    """Change audio at another sample rate; its length stays the same."""
    import soxr

    changed = soxr.resample(change(soxr.resample(audio, rate, other, quality="HQ")), other, rate, quality="HQ")
    return np.asarray(np.pad(changed, (0, max(0, len(audio) - len(changed))))[: len(audio)], dtype=np.float32)


def _coded(audio: Audio, rate: int, form: str, subtype: str, **options: Any) -> Audio:
    """Write audio in memory and read it again. A codec has 16 bits: louder audio is scaled to full scale, and back."""
    import soundfile

    peak = max(1.0, float(np.abs(audio).max(initial=0)))
    file = BytesIO()
    soundfile.write(file, audio / peak, rate, format=form, subtype=subtype, **options)
    file.seek(0)
    return np.asarray(soundfile.read(file, dtype="float32")[0] * peak, dtype=np.float32)


def rooms_definition() -> JsonObject:
    """The definition of the rooms, without the seed. JSON-able."""
    return {"simulated": ROOMS, "sizes_m": SIZES, "rt60_s": RT60, "method": "image sources"}


@lru_cache(maxsize=2 * ROOMS)
def room_impulse(seed: int, number: int, rate: int) -> NDArray[np.float64]:
    """The response of one room, `(samples,)`.

    Args:
        seed: of the view's rooms.
        number: 0 to `ROOMS` - 1.
        rate: Hz.
    """
    rng = np.random.default_rng([seed, number])
    size = [rng.uniform(*between) for between in SIZES]
    return room_response(rng.uniform(*RT60), size, *_places(size, rng), rate)


def room_response(
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
