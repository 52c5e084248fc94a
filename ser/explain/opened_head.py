"""A saved head opened on the utterances of a cached corpus: its modules, probabilities and learned weights of layers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.features.blocks import Block
from ser.features.tensors import Tensors
from ser.train.checkpoint import SavedHead
from ser.train.classical.classifier import Classical, neural_only
from ser.train.classical.learner import vectors
from ser.train.heads._base import plugin
from ser.train.loop.data import Data, Resident
from ser.train.loop.prediction import heads, logits
from ser.train.nn.layers import Enter, Feature
from ser.train.nn.parameters import Parameters


class PartnerFeatures(Resident):
    """Features of which a store can give those of another utterance, its partner, in place of its own.

    Attributes:
        partners: store -> the row number of each row's partner, `(n,)`; stores that are not named give their own.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        super().__init__(blocks)
        self.partners: Mapping[str, Tensor] = {}

    def feature(self, name: str, rows: Tensor) -> Feature:
        partner = self.partners.get(name)
        return super().feature(name, rows if partner is None else partner[rows])


@dataclass(eq=False)
class OpenedHead:
    """One head of one run, with its weights and the features that it reads.

    Attributes:
        saved: the head's file.
        data: the corpus.
        parts: the modules in evaluation mode with their features: one, or for a late fusion one per modality; of snapshots,
            the last.
        heads: the blocks of weights of each part, one for each snapshot, with all that prediction needs.
    """

    saved: SavedHead
    data: Tensors
    parts: list[tuple[nn.Module, PartnerFeatures]]
    heads: list[tuple[list[Parameters], Data]]

    @property
    def module(self) -> nn.Module:
        """The head itself; of a late fusion, the first part."""
        return self.parts[0][0]

    @property
    def resident(self) -> PartnerFeatures:
        return self.parts[0][1]

    def probabilities(
        self, rows: NDArray[np.int64], partners: Mapping[str, NDArray[np.int64]] | None = None
    ) -> NDArray[np.float64]:
        """Compute the class probabilities of rows, `(len(rows), classes)`; for `partners` see `PartnerFeatures`."""
        found = []
        for (_, resident), (snapshots, known) in zip(self.parts, self.heads, strict=True):
            resident.partners = {name: torch.as_tensor(p) for name, p in (partners or {}).items()}
            each = [logits(one, known, rows)[0, :, : known.classes].double().softmax(-1) for one in snapshots]
            found.append(torch.stack(each).mean(0).numpy())
            resident.partners = {}
        return found[0] if len(found) == 1 else np.asarray(plugin(self.saved.config.head).combine(found))

    def layer_weights(self) -> dict[str, NDArray[np.float64]]:
        """Compute the weight that the head has learned for each layer of a frozen encoder.

        (Peters et al. 2018; SUPERB, Yang et al. 2021.) A head that reads a store in several places has a weight for each;
        their mean is given.

        Returns:
            Store -> softmax weights of its stored layers, `(layers,)`, adding up to 1; {} where no store has several.
        """
        found: dict[str, list[NDArray[np.float64]]] = {}
        for module, _ in self.parts:
            for enter in module.modules():
                if isinstance(enter, Enter) and enter.weights is not None:
                    found.setdefault(enter.store, []).append(enter.weights.detach()[0].double().softmax(-1).numpy())
        return {name: np.mean(weights, axis=0) for name, weights in found.items()}


@dataclass(eq=False)
class OpenedClassifier(OpenedHead):
    """A classical head: it has probabilities, and nothing inside to look at.

    Attributes:
        vectors: store -> its standardised features, pooled, `(n, D)`.
    """

    vectors: dict[str, NDArray[np.float64]]

    @property
    def module(self) -> nn.Module:
        raise neural_only(self.saved.config.head)

    @property
    def resident(self) -> PartnerFeatures:
        raise neural_only(self.saved.config.head)

    def probabilities(
        self, rows: NDArray[np.int64], partners: Mapping[str, NDArray[np.int64]] | None = None
    ) -> NDArray[np.float64]:
        swapped = partners or {}
        chosen = [v[swapped[name][rows] if name in swapped else rows] for name, v in self.vectors.items()]
        return self.saved.classified(np.concatenate(chosen, axis=1))


def word_pieces_of(block: Block, row: int) -> list[str]:
    """The word pieces of an utterance as text; [] where the features are not ids of word pieces."""
    if not block.vocabulary or "tokenizer.json" not in block.assets:
        return []
    vocabulary = json.loads(block.assets["tokenizer.json"])["model"]["vocab"]
    pairs = vocabulary.items() if isinstance(vocabulary, dict) else ((p[0], k) for k, p in enumerate(vocabulary))
    named = {number + int(block.assets.get("shift", "0")): piece for piece, number in pairs}
    return [named.get(int(k), str(k)) for k in block.rows(np.array([row]))[:, 0]]


def open_head(saved: SavedHead, data: Tensors, blocks: Sequence[Block] | None = None) -> OpenedHead:
    """Open a saved head on a corpus's features.

    Args:
        saved: see `ser.train.checkpoint.load_head`.
        data: raw features of the stores that the head reads, under its classes.
        blocks: these features as the head was trained on them; None standardises them by the head's own statistics.

    Raises:
        ConfigError: a head on dialogues; other classes; other stores, or features of another shape.
    """
    if saved.config.context != "utterance":
        raise ConfigError(
            "explanations are of utterances", found=f"a head on sequences of turns (--context {saved.config.context})"
        )
    if list(data.classes) != saved.classes:
        raise ConfigError("the head's classes are not those of the tensors", expected=saved.classes, found=list(data.classes))
    stores, wanted = [b.name for b in data.blocks], [i.name for i in saved.inputs]
    if stores != wanted:
        raise ConfigError(f"the head reads {', '.join(wanted)}", found=f"stores {', '.join(stores)} of {data.dataset}")
    blocks = saved.standardised(data.blocks) if blocks is None else blocks
    if isinstance(saved.config, Classical):
        return OpenedClassifier(saved, data, [], [], {b.name: vectors(b) for b in blocks})
    parts, loaded = [], []
    for known, config, weights in saved.parts(blocks):
        snapshots = [Parameters(heads(known, config, [0])) for _ in range(config.snapshots)]
        for parameters, own in zip(snapshots, weights.chunk(config.snapshots, dim=1), strict=True):
            parameters.load(own)
        names = [i.name for i in known.resident.inputs]
        resident = PartnerFeatures([b for b in blocks if b.name in names])
        parts.append((snapshots[-1].head.eval(), resident))
        loaded.append((snapshots, replace(known, resident=resident)))
    return OpenedHead(saved, data, parts, loaded)
