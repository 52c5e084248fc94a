"""Effects on audio, as pure functions of `(samples,)` float32, processed by soxr, Signalsmith, SciPy and libsndfile.

Speed is resampling, so that pitch and formants move with the tempo (Ko et al., Interspeech 2015); pitch and tempo alone are
changed by Signalsmith Stretch (python-stretch; MIT), whose random phases are seeded here.
"""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]
OPUS_RATES = (6, 256)  # kbit/s of libsndfile's compression levels 1 and 0, linear between them


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
