"""Text-centred cross-modal attention: text steps look into audio and into visual frames, each modality encoded its own way.

After a student project on IEMOCAP's dialogue features (Poria et al., ACL 2017); attention from text to the others as in MulT
(Tsai et al., ACL 2019), here in that one direction only. Text: two BiLSTM layers of `hidden` (64) units in each direction.
Audio: a transformer block of 4 heads with a feed-forward layer of 2048 (Vaswani et al. 2017; no positions). Visual: two
convolutions of kernel 3 with ReLU, multi-head attention. Then cross-attention from text to audio and from text to visual
(residual, LayerNorm), concatenation with text, linear, ReLU, mean over real text steps, linear. Sizes that the project leaves
open are ours: all encoders have 2 `hidden` features.

Audio and visual may be missing: text alone is a BiLSTM. Padding has no effect. Trains one run at a time.
"""

import torch
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.train.heads._base import EmbeddingHead, Takes
from ser.train.nn.attention import Attends, Attention
from ser.train.nn.convolution import Conv1d
from ser.train.nn.layers import Dropout, Enter, Feature, Features, Input, LayerNorm, Linear
from ser.train.nn.pooling import make_pooling
from ser.train.nn.sequences import run_lstms

CITATION = (
    "Y.-H. H. Tsai, S. Bai, P. P. Liang, J. Z. Kolter, L.-P. Morency, R. Salakhutdinov: Multimodal Transformer "
    "for Unaligned Multimodal Language Sequences. ACL 2019, 6558-6569. doi:10.18653/v1/P19-1656"
)
DEFAULTS = {"lr": 1e-3, "batch_size": 32, "epochs": 30, "patience": 10}
TAKES = Takes(("frames", "words"), ("text", "audio", "visual"), needs=("text",), one_each=True)


class Head(EmbeddingHead):
    """`(1, batch, frames, D)` of each store, one for each modality -> `(1, batch, 2 hidden)` -> `(1, batch, classes)`."""

    stackable = False

    def __init__(
        self,
        inputs: list[Input],
        classes: int,
        hidden: int = 64,
        heads: int = 4,
        feed: int = 2048,
        dropout: float = 0.3,
        pooling: str = "mean",
    ) -> None:
        super().__init__()
        by = {i.modality: i for i in inputs}
        if 2 * hidden % heads:
            raise ConfigError(
                "option heads of head text_centred", expected=f"a divisor of {2 * hidden} (2 hidden)", found=heads
            )
        width = 2 * hidden
        encode: dict[str, nn.Module] = {}
        if "audio" in by:
            encode["audio"] = AudioEncoder(by["audio"], width, heads, feed, dropout)
        if "visual" in by:
            encode["visual"] = VisualEncoder(by["visual"], width, heads)
        self.inputs = {modality: i.name for modality, i in by.items()}
        self.text = TextEncoder(by["text"], hidden, dropout)
        self.encode = nn.ModuleDict(encode)
        self.cross = nn.ModuleDict({m: Attention(width, heads) for m in self.encode})
        self.norm = nn.ModuleDict({m: LayerNorm(width) for m in self.encode})
        self.fuse = Linear(width * len(inputs), width)
        self.pool = make_pooling(pooling, by["text"], width)
        self.dropout = Dropout(dropout)
        self.output = Linear(self.pool.size, classes)

    def steps(self, batch: Features) -> Tensor:
        """One vector per text step, `(1, batch, text steps, 2 hidden)`."""
        text = self.text(batch[self.inputs["text"]])
        found = [text]
        for modality, encode in self.encode.items():
            feature = batch[self.inputs[modality]]
            seen = self.cross[modality](text, encode(feature), feature.mask)
            found.append(self.norm[modality](text + self.dropout(seen)))
        return torch.relu(self.fuse(self.dropout(torch.cat(found, dim=-1))))

    def attends(self) -> Attends:
        text = (self.inputs["text"],)
        own: Attends = {f"encode.{m}.attention": ((self.inputs[m],), (self.inputs[m],)) for m in self.encode}
        return own | {f"cross.{m}": (text, (self.inputs[m],)) for m in self.encode}

    def embed(self, batch: Features) -> Tensor:
        """The pooled text steps, `(1, batch, 2 hidden)` of means."""
        out: Tensor = self.pool(self.steps(batch), batch[self.inputs["text"]].mask)
        return out


class TextEncoder(nn.Module):
    """Two BiLSTM layers: words or frames -> `(1, batch, frames, 2 hidden)`."""

    def __init__(self, source: Input, hidden: int, dropout: float) -> None:
        super().__init__()
        self.enter = Enter(source)
        sizes = (self.enter.size, 2 * hidden)
        self.lstm = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True, bidirectional=True) for size in sizes)
        self.dropout, self.between = Dropout(dropout), nn.Dropout(dropout)

    def forward(self, feature: Feature) -> Tensor:
        assert feature.mask is not None
        layers = [self.lstm[0], self.between, self.lstm[1]]
        return run_lstms(layers, self.dropout(self.enter(feature))[0], feature.mask[0])[None]


class AudioEncoder(nn.Module):
    """Linear, then a post-norm transformer block: frames -> `(1, batch, frames, width)`."""

    def __init__(self, source: Input, width: int, heads: int, feed: int, dropout: float) -> None:
        super().__init__()
        self.enter = Enter(source)
        self.linear = Linear(self.enter.size, width)
        self.attention, self.norm = Attention(width, heads), LayerNorm(width)
        self.widen, self.narrow, self.last_norm = Linear(width, feed), Linear(feed, width), LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, feature: Feature) -> Tensor:
        x = self.linear(self.enter(feature))
        x = self.norm(x + self.dropout(self.attention(x, x, feature.mask)))
        out: Tensor = self.last_norm(x + self.dropout(self.narrow(self.dropout(torch.relu(self.widen(x))))))
        return out


class VisualEncoder(nn.Module):
    """Two convolutions over frames, then attention with residual and LayerNorm: frames -> `(1, batch, frames, width)`."""

    def __init__(self, source: Input, width: int, heads: int) -> None:
        super().__init__()
        self.enter = Enter(source)
        self.first, self.second = Conv1d(self.enter.size, width), Conv1d(width, width)
        self.attention, self.norm = Attention(width, heads), LayerNorm(width)

    def forward(self, feature: Feature) -> Tensor:
        assert feature.mask is not None
        x = torch.relu(self.first(self.enter(feature), feature.mask))
        x = torch.relu(self.second(x, feature.mask))
        out: Tensor = self.norm(x + self.attention(x, x, feature.mask))
        return out
