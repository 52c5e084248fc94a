"""Kaldi's log-mel filter bank, as the speech models of funasr and 3D-Speaker read it; without its dither, which is random.

Frames of 25 ms every 10 ms that lie within the audio, each without its mean, pre-emphasised by 0.97 and windowed; the power
spectrum of 512 points, triangular filters on Kaldi's Mel scale from 20 Hz to half the sample rate, natural logarithm (Povey et
al., ASRU 2011; the defaults of `compute-fbank-feats`).
"""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SAMPLE_RATE = 16000
FRAME, HOP, POINTS = 400, 160, 512  # samples
PREEMPHASIS = 0.97
LOWEST = 20.0  # Hz
FLOOR = float(np.finfo(np.float32).eps)
WINDOWS = ("hamming", "povey")  # and of transformers' AST "hanning"


def kaldi_bands(audio: NDArray[np.float32], bands: int, window: str) -> Tensor:
    """Log energies of bands, computed in float64.

    Args:
        audio: `(samples,)` at 16 kHz, `FRAME` samples or more.
        window: one of `WINDOWS`.

    Returns:
        `(1 + (samples - 400) // 160, bands)`, float32.
    """
    frames = torch.from_numpy(audio.astype(np.float64)).unfold(0, FRAME, HOP)
    frames = frames - frames.mean(1, keepdim=True)
    before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    spectrum = torch.fft.rfft((frames - PREEMPHASIS * before) * _window(window), n=POINTS).abs().square()
    energies: Tensor = spectrum @ _filters(bands)
    return energies.clamp_min(FLOOR).log().float()


def traced_bands(audio: Tensor, bands: int, window: str) -> Tensor:
    """`kaldi_bands` by operations that ONNX has: frames are cut by a convolution, the rest before the squares is one product.

    Args:
        audio: `(batch, samples)` at 16 kHz.
        window: one of `WINDOWS`, or `hanning`.

    Returns:
        `(batch, frames, bands)`, float32.
    """
    parts, filters = (torch.from_numpy(product) for product in _products(bands, window))
    frames = F.conv1d(audio[:, None], torch.eye(FRAME)[:, None], stride=HOP).transpose(1, 2).double()
    real, imaginary = (frames @ parts).square().chunk(2, dim=-1)
    energies: Tensor = (real + imaginary) @ filters
    return energies.clamp_min(FLOOR).log().float()


def frames_of(samples: int) -> int:
    """The number of frames."""
    return 1 + (samples - FRAME) // HOP


@cache
def _window(name: str) -> Tensor:
    if name == "hamming":
        return torch.hamming_window(FRAME, periodic=False, dtype=torch.float64)
    hann = torch.hann_window(FRAME, periodic=False, dtype=torch.float64)
    return hann if name == "hanning" else hann**0.85


@cache
def _products(bands: int, window: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is done to a frame before the squares, `(FRAME, 2 * bins)`, and the filters: arrays, as constants of a graph."""
    one = np.eye(FRAME)
    centred = one - one.mean(1, keepdims=True)
    before = np.concatenate([centred[:, :1], centred[:, :-1]], axis=1)
    angle = np.outer(np.arange(FRAME), np.arange(POINTS // 2 + 1)) * (2 * np.pi / POINTS)
    waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    return ((centred - PREEMPHASIS * before) * _window(window).numpy()) @ waves, _filters(bands).numpy()


@cache
def _filters(bands: int) -> Tensor:
    """Triangles `(points // 2 + 1, bands)`, which are straight on the Mel scale."""
    lowest, highest = (float(_mel(f)) for f in (LOWEST, SAMPLE_RATE / 2))
    edges = torch.linspace(lowest, highest, bands + 2, dtype=torch.float64)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    at = _mel(torch.arange(POINTS // 2 + 1, dtype=torch.float64) * SAMPLE_RATE / POINTS)[:, None]
    return torch.minimum((at - left) / (centre - left), (right - at) / (right - centre)).clamp_min(0)


def _mel(hertz: Tensor | float) -> Tensor:
    return 1127 * torch.log1p(torch.as_tensor(hertz, dtype=torch.float64) / 700)
