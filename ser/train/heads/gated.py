"""Gated fusion: adapters, cross-attention both ways, attentive statistics pooling, normalised sigmoid gates.

After Mittal (Multilingual Multimodal Speech Emotion Recognition, 2024). With W = `hidden` = 256, per store: a residual
bottleneck adapter D-W-D with ReLU (Houlsby et al., ICML 2019); cross-attention to the other stores' frames (8 heads, width W;
linear back to D, residual, LayerNorm); attentive statistics pooling, W/2 tanh (Okabe et al., Interspeech 2018); projection
2W with ReLU between its two layers; a gate 2W-W-1. Gates are sigmoids divided by their sum and weigh the sum of the
projections; LayerNorm makes that the embedding. Classifier 2W-W-W/2-K. Prototype memory is a loss on the embedding, not part
of this head.

Exact simplified forms are computed where parts do nothing. Pooled features are sequences of length one: the softmax over a
single key is 1, so there are no queries and keys (attention is then a linear map of the other store), and the statistics of
one frame are the frame itself and a constant, so there is no pooling. With one store there is no cross-attention and no
gate (it would be 1).

Differences: LayerNorm of the embedding, without which signals shrink so much through the ReLU layers that training at low
rates stays long at one class, as the original reports; one linear layer takes a store to width W, for queries, keys and
values alike, where the original has three, each followed by attention's own; three or more stores attend to all others, end
to end.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.train.heads._base import Takes
from ser.train.nn.attention import Attends, Attention, others
from ser.train.nn.layers import Classifier, Dropout, Enter, Feature, Features, Input, LayerNorm, Linear
from ser.train.nn.pooling import make_pooling
from ser.train.nn.sequences import Scorer

DEFAULTS = {"lr": 3e-4, "epochs": 50, "schedule": "cosine"}
TAKES = Takes()


class Head(nn.Module):
    """`(runs, batch, [frames,] D)` of each store -> `(runs, batch, classes)`."""

    def __init__(
        self,
        inputs: list[Input],
        classes: int,
        hidden: int = 256,
        heads: int = 8,
        dropout: float = 0.1,
        pooling: str = "attentive",
    ) -> None:
        super().__init__()
        self.inputs = [i.name for i in inputs]
        self.adapt = nn.ModuleList(Adapter(i, hidden, dropout) for i in inputs)
        self.cross = nn.ModuleList()
        self.gate = nn.ModuleList()
        sizes: list[int] = [adapter.size for adapter in self.adapt]  # type: ignore[misc]
        pooled = [not i.framewise for i in inputs]
        if len(inputs) > 1:
            single = [len(inputs) == 2 and pooled[1 - k] for k in range(len(inputs))]
            self.cross.extend(Cross(s, hidden, heads, dropout, one) for s, one in zip(sizes, single, strict=True))
            self.gate.extend(Gate(2 * hidden, hidden) for _ in inputs)
        self.project = nn.ModuleList(Pool(i, s, hidden, dropout, pooling) for i, s in zip(inputs, sizes, strict=True))
        self.norm = LayerNorm(2 * hidden)
        self.output = Classifier(2 * hidden, classes, (hidden, max(1, hidden // 2)), dropout)

    def embed(self, batch: Features) -> Tensor:
        """The gated sum of the projected stores, `(runs, batch, 2 W)`."""
        projected = self._projected(batch)
        out: Tensor = self.norm((projected * self._gates(projected)[..., None]).sum(2))
        return out

    def forward(self, batch: Features) -> Tensor:
        out: Tensor = self.output(self.embed(batch))
        return out

    def gates(self, batch: Features) -> Tensor:
        """The weight of each store for each utterance, `(runs, batch, stores)`; those of an utterance add up to 1."""
        return self._gates(self._projected(batch))

    def attends(self) -> Attends:
        return {
            f"cross.{k}.attention": ((name,), others(self.inputs, k))
            for k, name in enumerate(self.inputs if self.cross else [])
        }

    def _projected(self, batch: Features) -> Tensor:
        """`(runs, batch, stores, 2 W)`."""
        states, masks = [], []
        for name, adapt in zip(self.inputs, self.adapt, strict=True):
            state, mask = adapt(batch[name]), batch[name].mask
            if mask is None:
                state, mask = state.unsqueeze(2), torch.ones_like(state[..., :1], dtype=torch.bool)
            states.append(state)
            masks.append(mask)
        if self.cross:
            states = self._crossed(states, masks)
        parts = [project(s, m) for project, s, m in zip(self.project, states, masks, strict=True)]
        return torch.stack(parts, dim=2)

    def _crossed(self, states: list[Tensor], masks: list[Tensor]) -> list[Tensor]:
        """Each store's frames after attention to the frames of all others, end to end."""
        narrow = [cross.narrow(s) for cross, s in zip(self.cross, states, strict=True)]  # type: ignore[operator]
        crossed = []
        for k, cross in enumerate(self.cross):
            others = torch.cat(narrow[:k] + narrow[k + 1 :], dim=2)
            crossed.append(cross(states[k], narrow[k], others, torch.cat(masks[:k] + masks[k + 1 :], dim=2)))
        return crossed

    def _gates(self, projected: Tensor) -> Tensor:
        if not self.gate:
            return torch.ones_like(projected[..., 0])
        scores = torch.stack([gate(projected[:, :, k]) for k, gate in enumerate(self.gate)], dim=-1)
        gates: Tensor = F.logsigmoid(scores).softmax(-1)  # sigmoid / sum of sigmoids, also where all of them underflow
        return gates


class Adapter(nn.Module):
    """Residual bottleneck D-W-D: `(runs, batch, [frames,] D)` -> the same. `size` is D."""

    def __init__(self, source: Input, hidden: int, dropout: float) -> None:
        super().__init__()
        self.enter = Enter(source)
        self.size = self.enter.size
        self.down = Linear(self.size, hidden)
        self.up = Linear(hidden, self.size)
        self.dropout = Dropout(dropout)

    def forward(self, feature: Feature) -> Tensor:
        x: Tensor = self.enter(feature)
        change: Tensor = self.dropout(self.up(torch.relu(self.down(x))))
        return x + change


class Cross(nn.Module):
    """One store's attention to others: width W, linear to D, dropout, residual, LayerNorm.

    `narrow` brings the store's own frames to width W, for its queries and for the others' keys and values.
    """

    def __init__(self, size: int, hidden: int, heads: int, dropout: float, single: bool) -> None:
        super().__init__()
        self.narrow = Linear(size, hidden)
        self.attention = Attention(hidden, heads, single)
        self.widen = Linear(hidden, size)
        self.norm = LayerNorm(size)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, narrow: Tensor, others: Tensor, mask: Tensor) -> Tensor:
        """`x (runs, batch, N, D)`, narrowed `(runs, batch, N, W)`; keys `(runs, batch, M, W)` and their mask."""
        out: Tensor = self.norm(x + self.dropout(self.widen(self.attention(narrow, others, mask))))
        return out


class Pool(nn.Module):
    """Pooling of a sequence, then linear to 2W, ReLU, dropout, linear: `(runs, batch, N, D)` -> `(.., 2W)`."""

    def __init__(self, source: Input, size: int, hidden: int, dropout: float, pooling: str) -> None:
        super().__init__()
        pool = make_pooling(pooling, source, size, max(1, hidden // 2))
        self.pool = pool if source.framewise else None
        self.project = Classifier(pool.size, 2 * hidden, (2 * hidden,), dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        out: Tensor = self.project(x.squeeze(2) if self.pool is None else self.pool(x, mask))
        return out


class Gate(nn.Module):
    """Linear, ReLU, one number: `(runs, batch, inputs)` -> `(runs, batch)`."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = Linear(inputs, hidden)
        self.score = Scorer(hidden, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.score(torch.relu(self.hidden(x)))
        return out
