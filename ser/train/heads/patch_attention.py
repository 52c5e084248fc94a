"""Audio patches x text tokens: cross-attention in both directions between patches of audio frames and word pieces.

The patch-based fusion of Lian (University of Copenhagen, 2025), after co-attention between modalities (Lu et al., NeurIPS
2019; Tsai et al., ACL 2019). Each side becomes tokens (patches of `patch` audio frames; word pieces or text frames one by
one), then a transformer encoder of its own (`layers`, pre-norm), then `cross` post-norm layers in which patches attend to
tokens and tokens to patches (both from the states before the layer). Means over real positions, concatenation, linear 2H-H,
GELU, dropout, linear H-K. The description names the parts, not their sizes: those here are ours.

`attention(batch)` gives the weights that patches give to tokens, for a picture.
"""

from typing import cast

import torch
from torch import Tensor, nn

from ser.train.heads._base import EmbeddingHead, Takes
from ser.train.nn.attention import Attends, others
from ser.train.nn.layers import Dropout, Features, Input, Linear
from ser.train.nn.pooling import make_pooling
from ser.train.nn.transformer import Layer, Tokens, Transformer, self_attention

DEFAULTS = {"lr": 5e-4, "epochs": 40, "patience": 10}
TAKES = Takes(("frames", "words"), ("audio", "text"), needs=("audio", "text"), one_each=True)
States = tuple[Tensor, Tensor]


class Head(EmbeddingHead):
    """One framewise audio and one framewise text store, `(runs, batch, frames, D)` each -> `(runs, batch, classes)`."""

    def __init__(
        self,
        inputs: list[Input],
        classes: int,
        hidden: int = 192,
        layers: int = 2,
        cross: int = 1,
        heads: int = 4,
        dropout: float = 0.2,
        patch: int = 8,
        positions: str = "sinusoidal",
        pooling: str = "mean",
    ) -> None:
        super().__init__()
        audio, text = sorted(inputs, key=lambda i: i.modality)
        self.inputs = [audio.name, text.name]
        widths = (patch, 1)
        self.tokens = nn.ModuleList(
            Tokens(i, hidden, dropout, positions, width) for i, width in zip((audio, text), widths, strict=True)
        )
        self.encode = nn.ModuleList(Transformer(hidden, layers, heads, dropout) for _ in self.inputs)
        self.cross = nn.ModuleList(
            nn.ModuleList(Layer(hidden, heads, dropout, "post") for _ in self.inputs) for _ in range(cross)
        )
        self.pool = nn.ModuleList(make_pooling(pooling, i, hidden) for i in (audio, text))
        self.fuse = Linear(sum(p.size for p in self.pool), hidden)  # type: ignore[misc]
        self.dropout = Dropout(dropout)
        self.output = Linear(hidden, classes)

    def embed(self, batch: Features) -> Tensor:
        """Both sides fused, `(runs, batch, H)`."""
        states, masks = self._encoded(batch)
        for layer in self.cross:
            states = self._crossed(layer, states, masks)
        pooled = [pool(s, m) for pool, s, m in zip(self.pool, states, masks, strict=True)]
        return nn.functional.gelu(self.fuse(torch.cat(pooled, dim=-1)))

    def attention(self, batch: Features) -> Tensor:
        """The weight that each patch gives to each token in the last cross layer, `(runs, batch, patches, tokens)`, mean over
        heads; a real patch's weights are 0 on padding and 1 in all."""
        states, masks = self._encoded(batch)
        *before, last = self.cross
        for layer in before:
            states = self._crossed(layer, states, masks)
        to_text = cast(Layer, cast(nn.ModuleList, last)[0])
        return to_text.attention.weights(states[0], states[1], masks[1]).mean(2)

    def attends(self) -> Attends:
        return self_attention(self.encode, self.inputs) | {
            f"cross.{n}.{k}.attention": ((name,), others(self.inputs, k))
            for n in range(len(self.cross))
            for k, name in enumerate(self.inputs)
        }

    def _encoded(self, batch: Features) -> tuple[States, States]:
        """States and masks of patches and of tokens."""
        (patches, patch_mask), (tokens, token_mask) = (
            tokens(batch[name]) for name, tokens in zip(self.inputs, self.tokens, strict=True)
        )
        return (self.encode[0](patches, patch_mask), self.encode[1](tokens, token_mask)), (patch_mask, token_mask)

    @staticmethod
    def _crossed(layer: nn.Module, states: States, masks: States) -> States:
        to_text, to_audio = cast(nn.ModuleList, layer)
        return to_text(states[0], masks[1], states[1]), to_audio(states[1], masks[0], states[0])
