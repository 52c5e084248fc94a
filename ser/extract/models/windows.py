"""Utterances cut to the windows that a model with a fixed length reads, and the windows' features joined again."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def pieces_of(audio: NDArray[np.float32], window: int, minimum: int) -> list[NDArray[np.float32]]:
    """Consecutive windows; the last is what is left, and begins earlier where that is shorter than `minimum` samples.

    >>> [len(piece) for piece in pieces_of(np.zeros(25, np.float32), 10, 6)]
    [10, 10, 6]
    """
    begins = range(0, len(audio), window)
    return [audio[min(begin, max(0, len(audio) - minimum)) : begin + window] for begin in begins]


def whole_windows(samples: Sequence[int], window: int) -> list[int]:
    """The samples that a model reads of each utterance, its last window filled.

    >>> whole_windows([5, 20, 25], 10)
    [10, 20, 30]
    """
    return [-(-count // window) * window for count in samples]


def joined(features: Tensor, frames: Sequence[Sequence[int]]) -> list[Tensor]:
    """The frames of each utterance as one sequence.

    Args:
        features: `(windows, frames, dim)`, of all utterances' windows, one after another.
        frames: of each utterance, the number of real frames of each of its windows.

    Returns:
        `(frames, dim)` for each utterance.
    """
    counts = [len(own) for own in frames]
    of_utterances = zip(torch.split(features, counts), frames, strict=True)
    return [torch.cat([w[:n] for w, n in zip(windows, own, strict=True)]) for windows, own in of_utterances]
