"""The graph of a model for ONNX: standardisation, heads and their mean; and, of encoders that can be traced, the encoder."""

from collections.abc import Sequence

import torch
from msgspec import UNSET
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.extract.models.frozen_encoder import Frozen
from ser.predict.onnx_head import OUTPUT
from ser.predict.predictions import NOVELTY
from ser.results.metrics.calibration import FLOOR
from ser.train.checkpoint import SavedHead
from ser.train.classical.classifier import Classical, estimator_kind
from ser.train.heads._base import build_head, groups_of, part_of, plugin
from ser.train.loop.prediction import outputs_of
from ser.train.nn.layers import Feature, Input
from ser.train.nn.parameters import Parameters


class OneHead(nn.Module):
    """One saved head: raw features -> its outputs `(batch, classes)`, and their novelty `(batch,)` where it knows it.

    It has a network for each part and snapshot.

    Args:
        temperature: of its probabilities; None leaves them.

    Raises:
        ConfigError: a head that has no such graph.
    """

    def __init__(self, head: SavedHead, temperature: float | None) -> None:
        super().__init__()
        refuse(head)
        self.about, self.config, self.temperature, self.columns = head.about, head.neural, temperature, head.inputs
        self.knows_novelty = head.knows_novelty
        part = part_of(self.config.head)
        self.groups = groups_of(self.config.head, self.columns)
        self.parts = nn.ModuleList()
        outputs = len(head.classes) + len(head.dimensions)
        for inputs, weights in zip(self.groups, head.weights, strict=True):
            each = nn.ModuleList()
            for row in weights.chunk(self.config.snapshots):
                made = build_head(part, inputs, outputs, dict(self.config.head_options), 0)
                each.append(_filled(made, row))
            self.parts.append(each)
        for k, source in enumerate(self.columns):
            for name in ("mean", "std") if source.name in head.statistics else ():
                self.register_buffer(f"{name}_{k}", torch.from_numpy(head.statistics[source.name][name]))

    def forward(self, values: Sequence[Tensor], lengths: Sequence[Tensor | None]) -> tuple[Tensor, Tensor | None]:
        batch = {
            i.name: self._feature(k, i, v, n) for k, (i, v, n) in enumerate(zip(self.columns, values, lengths, strict=True))
        }
        return self._outputs(batch), self._novelty(batch) if self.knows_novelty else None

    def _outputs(self, batch: dict[str, Feature]) -> Tensor:
        parts = []
        for each in self.parts.children():
            found = [outputs_of(head(batch)[0], self.config.target, len(self.about.classes)) for head in each.children()]
            parts.append(torch.stack(found).mean(0))
        whole = parts[0]
        if len(self.groups) > 1 or part_of(self.config.head) != self.config.head:
            whole = plugin(self.config.head).combine_tensors(torch.stack(parts))
        if self.temperature is not None:
            whole = (whole.clamp_min(FLOOR).log() / self.temperature).softmax(-1)
        unit = self.about.unit
        if not unit:
            return whole
        first = whole.shape[-1] - len(unit.mean)  # of a class and dimensions, the values follow the probabilities
        return torch.cat([whole[:, :first], whole[:, first:] * torch.tensor(unit.std) + torch.tensor(unit.mean)], -1)

    def _novelty(self, batch: dict[str, Feature]) -> Tensor:
        """As `SavedHead.novelty`."""
        means = []
        for source in (i for i in self.columns if not i.vocabulary):
            values, mask = batch[source.name]
            if mask is not None:  # of frames, those of padding are 0
                values = values.sum(2) / mask.sum(2, keepdim=True).clamp_min(1)
            means.append(values[0].flatten(1))
        assert self.about.novelty is not UNSET
        return torch.cat(means, -1).square().mean(-1).sqrt() / self.about.novelty

    def _feature(self, number: int, source: Input, values: Tensor, lengths: Tensor | None) -> Feature:
        if not source.vocabulary and hasattr(self, f"mean_{number}"):
            values = (values - getattr(self, f"mean_{number}")) / getattr(self, f"std_{number}")
            limit = self.about.limit
            values = values.clamp(-limit, limit) if limit else values
        if lengths is None:
            return Feature(values[None], None)
        mask = torch.arange(values.shape[1])[None] < lengths[:, None]
        return Feature((values * mask[..., None])[None], mask[None])


def _filled(head: nn.Module, weights: Tensor) -> nn.Module:
    """A head with these weights, `(n,)`, in evaluation mode."""
    Parameters([lambda: head]).load(weights[None])
    return head.eval()


def refuse(head: SavedHead) -> None:
    """Refuse heads that are not a graph of one utterance's features.

    Raises:
        ConfigError: a classifier of scikit-learn, a head on dialogues, or one that needs the statistics of other recordings.
    """
    if isinstance(head.config, Classical):
        problem = f"{head.config.head}, a {estimator_kind(head.target)} of scikit-learn, is not exported to ONNX"
    elif head.config.context != "utterance":
        problem = "a head on dialogues is not exported to ONNX"
    elif head.about.normalize in ("speaker", "corpus"):
        problem = f"a head that was normalised per {head.about.normalize} is not exported to ONNX: it needs other recordings"
    elif len(groups_of(head.config.head, head.inputs)) > 1 and not hasattr(plugin(head.config.head), "combine_tensors"):
        problem = f"head {head.config.head} does not say how its parts are joined in a graph (combine_tensors)"
    else:
        return
    raise ConfigError(
        problem,
        expected="a neural head on single utterances, normalised by the training set",
        action="Hand it on as a folder: ser export folder.",
    )


class FromFeatures(nn.Module):
    """The mean of some heads: for each store its values and, of frames, their numbers -> `(batch, classes)`.

    Where all heads know it, the mean of their novelty follows, `(batch,)`.

    Attributes:
        outputs: the names of what it gives.
    """

    def __init__(self, heads: Sequence[SavedHead], temperatures: Sequence[float | None]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(OneHead(h, t) for h, t in zip(heads, temperatures, strict=True))
        self.columns = heads[0].inputs
        self.outputs = [OUTPUT, *([NOVELTY] if all(head.knows_novelty for head in heads) else [])]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        rest = list(inputs)
        values: list[Tensor] = []
        lengths: list[Tensor | None] = []
        for source in self.columns:
            values.append(rest.pop(0))
            lengths.append(rest.pop(0) if source.framewise else None)
        found = zip(*(head(values, lengths) for head in self.heads), strict=True)
        return tuple(torch.stack(each).mean(0) for _, each in zip(self.outputs, found, strict=False))


class FromWaveform(nn.Module):
    """An encoder, then the mean of some heads: audio `(batch, samples)`, all of one length -> what `FromFeatures` gives."""

    def __init__(self, encoder: Frozen, heads: FromFeatures) -> None:
        super().__init__()
        self.encoder, self.network, self.heads, self.outputs = encoder, encoder.network, heads, heads.outputs

    def forward(self, audio: Tensor) -> tuple[Tensor, ...]:
        layers = self.encoder.waveform(audio)
        if self.encoder.level == "frame":
            count = torch.ones_like(audio[:, 0], dtype=torch.long) * layers[0].shape[1]
            found: tuple[Tensor, ...] = self.heads(layers[0].float(), count)
            return found
        pooled = [self.encoder.pool_whole(layer) for layer in layers]
        features = torch.stack(pooled, dim=1) if self.encoder.stacked else pooled[0]
        answers: tuple[Tensor, ...] = self.heads(features.float())
        return answers
