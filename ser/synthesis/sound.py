"""From movements to sound: a voice source and noise, a vocal tract, a room and a microphone.

The source-filter model of Fant (1960, Acoustic Theory of Speech Production) with all-pole formant filters in cascade as in
Klatt (1980, JASA 67, 971-995). The glottal pulse is the polynomial of Klatt & Klatt (1990, JASA 87, 820-857) after
Rosenberg (1971, JASA 49, 583-590); its open quotient and a filter for the spectral tilt do what the LF model's parameters do
(Fant, Liljencrants & Lin 1985, STL-QPSR 4). Filters change every 4 ms: each frame is filtered by itself, and frames are added.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from ser.synthesis.phones import Tracks
from ser.synthesis.voices import Accent, Speaker, Style

Array = NDArray[np.float64]

RATE = 16_000
HOP = 64  # 4 ms
FFT = 768  # 48 ms: the rest of the ringing is 70 dB down
OVERSAMPLING = 2  # the pulse's edge is not a band-limited signal: made at twice the rate, it aliases little
FULL = 10 ** (-26 / 20)  # rms of an ordinary utterance
UPPER = ((3500, 250), (4500, 300), (5500, 400), (6500, 500))  # the higher formants' frequency and bandwidth in Hz


def pitch(who: Speaker, style: Style, tracks: Tracks, rng: np.random.Generator) -> Array:
    """The f0 contour in Hz, one value per frame: a declining line, a bump on each accent, a final fall, and tremor."""
    frames = len(tracks.voicing)
    time = np.arange(frames) * HOP / RATE
    share = np.linspace(0.0, 1.0, frames)
    span = np.exp(style.span)
    semitones = style.pitch + (style.rise - 1.5) * (share - 0.5) - 1.5 * span * np.clip((share - 0.8) / 0.2, 0, 1)
    for position, accent in enumerate(tracks.accents):
        height = 3.2 * span * rng.lognormal(0, 0.15) * 0.88**position
        semitones += height * np.exp(-0.5 * ((time - accent) / 0.07) ** 2)
    shaking = np.sin(2 * np.pi * (rng.uniform(5.5, 7.5) * time + rng.uniform()))
    semitones += max(0.0, style.tremor + 0.08) * shaking
    contour: Array = np.clip(who.f0 * 2 ** (semitones / 12), 55, 600)
    return contour


def glottal(f0: Array, style: Style, rng: np.random.Generator) -> tuple[Array, Array]:
    """The derivative of the glottal flow, and the flow's openness (which lets aspiration through).

    Args:
        f0: Hz, one value per frame.

    Returns:
        Two arrays `(frames * HOP,)` at `RATE`.
    """
    rate = RATE * OVERSAMPLING
    samples = len(f0) * HOP * OVERSAMPLING
    smooth = np.interp(np.arange(samples), np.arange(len(f0)) * HOP * OVERSAMPLING, f0)
    cycle = np.cumsum(smooth / rate).astype(np.int64)
    jitter = np.clip(0.006 * np.exp(style.rough), 0, 0.04)
    shimmer = np.clip(0.04 * np.exp(style.rough), 0, 0.25)
    count = int(cycle[-1]) + 1
    phase = np.cumsum(smooth * (1 + jitter * rng.standard_normal(count))[cycle] / rate)
    cycle = phase.astype(np.int64)
    loudness = 1 + shimmer * rng.standard_normal(int(cycle[-1]) + 1)[cycle]
    quotient = float(np.clip(0.62 - 0.18 * style.tension, 0.35, 0.9))
    x = (phase - cycle) / quotient
    pulse = np.where(x < 1, (2 - 3 * x) * x, 0.0) * loudness
    opening = np.where(x < 1, (x - x * x) * x, 0.0)
    pole = float(np.exp(-2 * np.pi * np.clip(2000 * np.exp(1.0 * style.tension), 400, 8000) / rate))
    pulse = signal.lfilter([1 - pole], [1, -pole], pulse)
    return signal.resample_poly(pulse, 1, OVERSAMPLING), opening[::OVERSAMPLING] * 6.75


def tract(formants: Array, scale: float) -> NDArray[np.complex128]:
    """Transfer function of the vocal tract in each frame.

    Args:
        formants: F1 to F3 in Hz of an average man, `(frames, 3)`.
        scale: factor of all formants.

    Returns:
        `(frames, FFT // 2 + 1)`, 1 at 0 Hz.
    """
    frames = len(formants)
    upper = np.broadcast_to([f for f, _ in UPPER], (frames, len(UPPER)))
    centre = np.minimum(np.hstack([formants, upper]) * scale, RATE / 2 - 300)
    width = np.hstack([50 + 0.06 * formants, np.broadcast_to([b for _, b in UPPER], upper.shape)])
    return 1 / fft.rfft(_resonances(centre, width), FFT)


def _resonances(centre: Array, width: Array) -> Array:
    """Denominator of resonators in cascade, each of gain 1 at 0 Hz: `(frames, n)` Hz -> `(frames, 2 n + 1)`."""
    radius = np.exp(-np.pi * width / RATE)
    first = -2 * radius * np.cos(2 * np.pi * centre / RATE)
    product = np.ones((len(centre), 1))
    for one, two in zip(first.T[..., None], (radius**2).T[..., None], strict=True):
        longer = np.zeros((len(product), product.shape[1] + 2))
        longer[:, :-2] += product
        longer[:, 1:-1] += one * product
        longer[:, 2:] += two * product
        product = longer / (1 + one + two)
    return product


def _frames(sound: Array) -> NDArray[np.complex128]:
    """Spectra of overlapping windows that add up to the sound: `(frames * HOP,)` -> `(frames, FFT // 2 + 1)`."""
    padded = np.concatenate([sound, np.zeros(HOP)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * HOP)[::HOP]
    return fft.rfft(windows * signal.get_window("hann", 2 * HOP), FFT)


def _add(spectra: NDArray[np.complex128]) -> Array:
    """Frames back to sound, each with its filter's tail: `(frames, FFT // 2 + 1)` -> `(frames * HOP,)`."""
    pieces = fft.irfft(spectra, FFT).reshape(len(spectra), FFT // HOP, HOP)
    sound = np.zeros((len(spectra) + FFT // HOP, HOP))
    for tail in range(FFT // HOP):
        sound[tail : tail + len(spectra)] += pieces[:, tail]
    return sound[: len(spectra)].ravel()


def speak(who: Speaker, style: Style, tracks: Tracks, rng: np.random.Generator) -> Array:
    """One utterance as it leaves the mouth, `(samples,)` at `RATE`, at the level that the style asks for."""
    f0 = pitch(who, style, tracks, rng)
    pulse, opening = glottal(f0, style, rng)
    at, place = np.arange(len(pulse)), np.arange(len(f0)) * HOP
    noise = rng.standard_normal((2, len(pulse)))
    aspiration = 0.01 * 10 ** (np.clip(style.breath, -12, 14) / 20) * noise[0] * (0.3 + opening)
    voice = np.interp(at, place, tracks.voicing) * (pulse + aspiration)
    hiss = np.interp(at, place, tracks.noise) * signal.lfilter([1, -0.9], [1], noise[1])
    scale = who.tract * np.exp(style.smile)
    mouth = 1 / fft.rfft(_resonances(tracks.centre[:, None] * np.sqrt(scale), np.full((len(f0), 1), 1500.0)), FFT)
    sound = _add(_frames(voice) * tract(tracks.formants, scale) + _frames(0.03 * hiss) * mouth)
    voiced = np.interp(at, place, tracks.voicing) > 0.5
    wanted = FULL * 10 ** (np.clip(style.level + who.gain, -16, 16) / 20)
    spoken: Array = sound * wanted / np.sqrt(np.mean(sound[voiced] ** 2))
    return spoken


def record(sound: Array, accent: Accent, seed: int, rng: np.random.Generator) -> NDArray[np.int16]:
    """The utterance as a place's microphone has it: room, channel, background noise, 16 bits.

    Args:
        sound: `(samples,)` at `RATE`.
        seed: the corpus's; its room is the same for all utterances.
    """
    if accent.echo:
        room = np.random.default_rng([seed, 0])
        time = np.arange(round(accent.echo * RATE)) / RATE
        tail = room.standard_normal(len(time)) * 10 ** (-3 * time / accent.echo)
        tail *= 10 ** (accent.echo_level / 20) / np.sqrt(np.sum(tail**2))
        tail[0] += 1
        sound = signal.oaconvolve(sound, tail)[: len(sound)]
    sound = signal.sosfilt(signal.butter(2, accent.band, "bandpass", fs=RATE, output="sos"), sound)
    if accent.tilt:
        shelf = 10 ** (accent.tilt / 20)
        low = signal.sosfilt(signal.butter(1, 2000, fs=RATE, output="sos"), sound)
        sound = low + shelf * (sound - low)
    hum = signal.lfilter([1], [1, -0.9], rng.standard_normal(len(sound)))
    sound = sound + hum / 2.3 * 10 ** (accent.floor / 20)
    peak = np.abs(sound).max()
    samples: NDArray[np.int16] = np.round(32767 * sound * min(1.0, 0.98 / peak)).astype(np.int16)
    return samples
