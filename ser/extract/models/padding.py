"""Batches of utterances of unequal length: invisible padding, and the windows of models that read a fixed length."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn


class ValidGroupNorm(nn.GroupNorm):
    """A group norm that takes each row's statistics over its own frames, not over padding.

    It stands behind the first convolution, so the number of a row's frames is that of this layer: derived from the
    last layer's frames it would be some frames short. Without `lengths` it is `nn.GroupNorm`.
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__(norm.num_groups, norm.num_channels, norm.eps)
        self.weight, self.bias = norm.weight, norm.bias
        self._own = threading.local()  # several threads may share the model

    @contextmanager
    def lengths(self, frames: Sequence[int]) -> Iterator[None]:
        """Set the number of real frames of each row of the batch, within the block."""
        self._own.frames = frames
        try:
            yield
        finally:
            self._own.frames = None

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, frames)` -> the same; 0 behind the real frames."""
        frames = getattr(self._own, "frames", None)
        if frames is None:
            return super().forward(x)
        out = torch.zeros_like(x)
        for row, count in enumerate(frames):
            valid = x[row : row + 1, :, :count]
            out[row : row + 1, :, :count] = F.group_norm(valid, self.num_groups, self.weight, self.bias, self.eps)
        return out


class Zeroing:
    """Zeroes what stands in padding before each of some convolutions `(batch, channels, frames)` reads it.

    A convolution over positions sees zeros beyond an utterance's ends. In a batch the frames behind a short utterance
    hold what earlier layers made of padding instead, and each of several stacked convolutions makes it again.
    """

    def __init__(self, convolutions: Iterable[nn.Module]) -> None:
        self._own = threading.local()
        for convolution in convolutions:
            convolution.register_forward_pre_hook(self._before)

    @contextmanager
    def over(self, mask: Tensor | None) -> Iterator[None]:
        """Within the block, only the frames `mask (batch, frames)` are real; None: all are."""
        self._own.mask = mask
        try:
            yield
        finally:
            self._own.mask = None

    def _before(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        mask = getattr(self._own, "mask", None)
        return None if mask is None else (inputs[0].masked_fill(~mask[:, None], 0), *inputs[1:])


def padded(rows: Sequence[Tensor]) -> Tensor:
    """Rows `(n_i, ...)` as one batch `(rows, longest, ...)`, with 0 behind each."""
    if len(rows) == 1:
        return rows[0][None]
    batch: Tensor = nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    return batch


def valid(frames: Sequence[int], device: Any = None) -> Tensor | None:
    """The mask of the real frames of a batch, `(batch, longest)`; None where all are real."""
    longest = max(frames)
    if min(frames) == longest:
        return None
    return torch.arange(longest, device=device) < torch.tensor(list(frames), device=device)[:, None]


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
