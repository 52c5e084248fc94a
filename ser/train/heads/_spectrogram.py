"""The base of heads that read one spectrogram as a picture: the input, a limit of length, small batches, the last layer."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ser.train.heads._base import EmbeddingHead
from ser.train.nn.layers import Dropout, Features, Input, Linear, is_traced

PIECE = 64  # utterances at a time in evaluation, where batches are larger than pictures allow


def middle_frames(x: Tensor, mask: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """The middle of utterances longer than a number of frames; others are whole."""
    if is_traced():  # for utterances of any length
        frames = torch.as_tensor(x.shape[2]).clamp(max=frames)  # type: ignore[assignment]
    elif x.shape[2] <= frames:
        return x, mask
    first = (mask.sum(-1) - frames).clamp_min(0) // 2
    index = first[..., None] + torch.arange(frames, device=x.device)
    return x.gather(2, index[..., None].expand(-1, -1, -1, x.shape[-1])), mask.gather(2, index)


def in_pieces(function: Callable[[Tensor, Tensor], Tensor], x: Tensor, mask: Tensor, size: int = PIECE) -> Tensor:
    """`function(x, mask)` of at most `size` utterances at a time, each piece as long as its longest; bounds memory."""
    if is_traced():
        return function(x, mask)
    parts = []
    for piece, there in zip(torch.split(x, size, dim=1), torch.split(mask, size, dim=1), strict=True):
        longest = int(there.sum(-1).max())
        parts.append(function(piece[:, :, :longest], there[:, :, :longest]))
    return torch.cat(parts, dim=1)


class Spectrogram(EmbeddingHead):
    """The base of a head that reads a spectrogram.

    Args:
        frames: longer utterances are read in the middle only.
        size: of the embedding.

    A head adds `layers`, its convolutions, or `maps` of its own, and `pool`, which makes one vector of the last picture.
    """

    layers: nn.ModuleList

    def __init__(self, inputs: list[Input], classes: int, *, frames: int, size: int, dropout: float) -> None:
        super().__init__()
        self.input, self.frames = inputs[0].name, frames
        self.dropout = Dropout(dropout)
        self.output = Linear(size, classes)

    def maps(self, picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """`(runs, batch, 1, frames, bands)` -> the last picture, `(runs, batch, channels, frames / s, bands / s)`; its mask."""
        for layer in self.layers:
            picture, mask = layer(picture, mask)
        return picture, mask

    def pool(self, x: Tensor, mask: Tensor) -> Tensor:
        """The last picture as one vector, `(runs, batch, size)`."""
        raise NotImplementedError

    def read(self, picture: Tensor, mask: Tensor) -> Tensor:
        """`(runs, batch, 1, frames, bands)` -> `(runs, batch, size)`."""
        return self.pool(*self.maps(picture, mask))

    def embed(self, batch: Features) -> Tensor:
        """The vector before the last layer, `(runs, batch, size)`."""
        values, mask = batch[self.input]
        assert mask is not None
        x, mask = middle_frames(values, mask, self.frames)
        if self.training:
            return self.read(x[:, :, None], mask)
        return in_pieces(lambda piece, there: self.read(piece[:, :, None], there), x, mask)
