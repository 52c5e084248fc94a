"""Transformer encoders with a leading run dimension: tokens, positions, layers (Vaswani et al., NeurIPS 2017)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser import registry
from ser.errors import ConfigError
from ser.train.nn.attention import Attends, Attention
from ser.train.nn.layers import Dropout, Enter, Feature, Input, LayerNorm, Linear
from ser.train.nn.residual import residual
from ser.train.nn.sequences import Packing, pad

POSITIONS = ("sinusoidal", "learned", "none")
NORMS = ("pre", "post")
LONGEST = 1024  # tokens for which learned positions are kept


class Positions(nn.Module):
    """Vectors of places, added to tokens: `(runs, batch, tokens, H)` -> the same.

    Args:
        kind: `sinusoidal`: sin(t / 10000^(2i/H)) and cos of the same, in turn (Vaswani et al. 2017, 3.5); `learned`: one
            vector per place; `none`.
        size: H.
        longest: places there are learned vectors for.

    Raises:
        ConfigError: an unknown kind; or, in `forward`, a sequence longer than the learned positions.
    """

    def __init__(self, kind: str, size: int, longest: int = LONGEST) -> None:
        super().__init__()
        if kind not in POSITIONS:
            raise registry.unknown("kind of positions:", str(kind), POSITIONS)
        self.kind = kind
        self.table = nn.Parameter(torch.randn(1, longest, size) * 0.02) if kind == "learned" else None

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "none":
            return x
        if self.table is None:
            return x + sinusoids(x.shape[2], x.shape[3], x.device).to(x.dtype)
        if x.shape[2] > self.table.shape[1]:
            raise ConfigError(
                "an utterance is longer than the learned positions",
                expected=f"at most {self.table.shape[1]} tokens",
                found=x.shape[2],
                action="Take positions=sinusoidal.",
            )
        return x + self.table[:, None, : x.shape[2]]


def sinusoids(length: int, size: int, device: torch.device | None = None) -> Tensor:
    """Vectors of the places 0 to length - 1, `(length, size)`; made where they are used: a GPU would wait for a copy."""
    rate = torch.exp(torch.arange(0, size, 2, device=device) * (-math.log(10000) / size))
    angle = torch.arange(length, device=device)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :size]


def patches(x: Tensor, mask: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Frames side by side in patches that do not overlap; the last one is filled with zeros.

    Args:
        x: `(runs, batch, frames, D)`.
        mask: `(runs, batch, frames)`.
        width: frames per patch.

    Returns:
        `(runs, batch, patches, width * D)` and `(runs, batch, patches)`, true where a patch has a real frame.
    """
    runs, batch, frames, size = x.shape
    missing = -frames % width
    x = F.pad(x * mask[..., None], (0, 0, 0, missing)).reshape(runs, batch, -1, width * size)
    return x, F.pad(mask, (0, missing)).view(runs, batch, -1, width).any(-1)


class Tokens(nn.Module):
    """A framewise store's features as tokens: patches, linear to H, LayerNorm, positions, dropout.

    Args:
        source: the store.
        hidden: H.
        patch: frames in a token.
        positions: see `Positions`.
    """

    def __init__(self, source: Input, hidden: int, dropout: float, positions: str, patch: int = 1) -> None:
        super().__init__()
        self.patch = patch
        self.enter = Enter(source)
        self.linear = Linear(self.enter.size * patch, hidden)
        self.norm = LayerNorm(hidden)
        self.positions = Positions(positions, hidden)
        self.dropout = Dropout(dropout)

    def forward(self, feature: Feature) -> tuple[Tensor, Tensor]:
        """Tokens `(runs, batch, tokens, H)` and their mask `(runs, batch, tokens)`."""
        assert feature.mask is not None
        x, mask = patches(self.enter(feature), feature.mask, self.patch)
        return self.dropout(self.positions(self.norm(self.linear(x)))), mask


class Layer(nn.Module):
    """Attention with residual, feed-forward H-4H-H with GELU and residual; LayerNorm before each (`pre`) or after (`post`).

    Post-norm is the layer of Vaswani et al. 2017, pre-norm that of Xiong et al. 2020, which trains without a warm-up and
    wants one more LayerNorm after the last layer.

    Args:
        hidden: H.
        heads: of the attention; H is a multiple of it.
        norm: `pre` or `post`.
        single: there is one key only; see `ser.train.nn.attention.Attention`.
    """

    def __init__(self, hidden: int, heads: int, dropout: float, norm: str = "post", single: bool = False) -> None:
        super().__init__()
        if norm not in NORMS:
            raise registry.unknown("place of the norm:", str(norm), NORMS)
        self.pre = norm == "pre"
        self.attention = Attention(hidden, heads, single)
        self.norm = LayerNorm(hidden)
        self.widen = Linear(hidden, 4 * hidden)
        self.narrow = Linear(4 * hidden, hidden)
        self.last_norm = LayerNorm(hidden)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        source: Tensor | None = None,
        packing: Packing | None = None,
        source_packing: Packing | None = None,
    ) -> Tensor:
        """`x (runs, batch, N, H)` attends to itself, or to `source (runs, batch, M, H)`; the mask is that of the keys.

        Either may be packed; without a source, `packing` is that of both.
        """
        keys = packing if source is None else source_packing
        if self.pre:
            y = self.norm(x)
            x = x + self.dropout(self.attention(y, y if source is None else source, mask, packing, keys))
            return x + self._feed(self.last_norm(x))
        x = self._attend(x, x if source is None else source, mask, packing, keys)
        return residual(x, x, (self.widen, self.narrow), self.dropout, self.last_norm, gelu=True)

    def _attend(
        self, x: Tensor, source: Tensor, mask: Tensor, packing: Packing | None, source_packing: Packing | None
    ) -> Tensor:
        """The first half of a layer with `post`; in evaluation the attention is called as a module, which hooks see."""
        own = self.attention
        if self.training and own.query is not None:
            mixed, last = own.mix(x, source, mask, (packing, source_packing))
            return residual(x, mixed, () if last is None else (last,), self.dropout, self.norm)
        if self.training and packing is None and source.shape[:-1] == x.shape[:-1]:
            return residual(x, source, (own.value, own.output), self.dropout, self.norm)
        out: Tensor = self.norm(x + self.dropout(own(x, source, mask, packing, source_packing)))
        return out

    def _feed(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.narrow(self.dropout.of_gelu(self.widen(x))))
        return out


class Transformer(nn.Module):
    """Layers of self-attention, one after another: `(runs, batch, tokens, H)` -> the same."""

    def __init__(self, hidden: int, layers: int, heads: int, dropout: float, norm: str = "pre") -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(hidden, heads, dropout, norm) for _ in range(layers))
        self.norm = LayerNorm(hidden) if norm == "pre" else None

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        packing = Packing.of(mask)
        x = x if packing is None else packing.pack(x)
        for layer in self.layers:
            x = layer(x, mask, packing=packing)
        x = x if self.norm is None else self.norm(x)
        return pad(x, packing)


def self_attention(encoders: nn.ModuleList, stores: list[str], place: str = "encode") -> Attends:
    """The value of a head's `attends` for its transformers, one for each store, which are its modules `place`."""
    return {
        f"{place}.{k}.layers.{n}.attention": ((store,), (store,))
        for k, (encoder, store) in enumerate(zip(encoders, stores, strict=True))
        for n in range(len(encoder.layers))  # type: ignore[arg-type]
    }
