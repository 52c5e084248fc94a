"""What saved heads say of a corpus's utterances: probabilities, logits, embeddings, of features standardised as in training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.features.blocks import Block
from ser.features.normalise import normalise
from ser.features.tensors import Tensors
from ser.train.checkpoint import SavedHead
from ser.train.classical.classifier import Classical
from ser.train.classical.learner import pooled as side_by_side
from ser.train.heads._base import offers_embedding, plugin
from ser.train.loop.dialogues import turns_of
from ser.train.loop.prediction import embed, heads, logits, predict
from ser.train.loop.target_selection import pooled
from ser.train.nn.parameters import Parameters

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(eq=False)
class Source:
    """A corpus's features, standardised for one head after another.

    Attributes:
        data: raw features.
        device: where heads run.
    """

    data: Tensors
    device: str = "cpu"
    _own: dict[tuple[str, float], list[Block]] = field(default_factory=dict)

    def blocks(self, head: SavedHead) -> list[Block]:
        """Features as the head was trained on them: by its own statistics, or those of this corpus or its speakers."""
        how, limit = str(head.about["normalize"]), float(head.about["limit"])
        if how == "none" or head.statistics:
            return head.standardised(self.data.blocks)
        if (how, limit) not in self._own:
            everyone = np.arange(len(self.data.frame))
            self._own[how, limit] = list(normalise(self.data, how, everyone, limit)[0].blocks)
        return self._own[how, limit]

    def probabilities(self, head: SavedHead) -> Floats:
        """Of all utterances, `(n, K)`."""
        return self.outputs(head, np.arange(len(self.data.frame))).probabilities

    def outputs(self, head: SavedHead, rows: Rows, embeddings: bool = False) -> "Outputs":
        """Of some utterances; of heads on dialogues, each among those turns of its dialogue that are asked for."""
        if isinstance(head.config, Classical):
            values = side_by_side(self.blocks(head))[rows]
            return Outputs(head.classified(values), None, values if embeddings else None)
        found, each, vectors = [], [], []
        turns = turns_of(self.data) if head.config.context == "dialogue" else None
        for data, config, weights in head.parts(self.blocks(head), self.device, turns):
            found.append(predict(data, config, weights, rows)[0])
            parameters = Parameters(heads(data, config, [0]), data.resident.device)
            for snapshot in weights.chunk(config.snapshots, dim=1):
                parameters.load(snapshot)
                each.append(logits(parameters, data, rows).cpu().double().numpy()[0])
            if embeddings and (turns is not None or offers_embedding(config.head)):
                vectors.append(embed(data, config, weights, rows)[0])
            elif embeddings and not any(i.vocabulary for i in data.resident.inputs):
                vectors.append(pooled(data.resident, rows))
        joined = found[0] if len(found) == 1 else np.asarray(plugin(head.config.head).combine(found))
        whole = len(vectors) == len(found)
        return Outputs(joined, np.stack(each), np.concatenate(vectors, axis=1) if whole else None)


@dataclass(frozen=True, eq=False)
class Outputs:
    """Of n utterances.

    Attributes:
        probabilities: `(n, K)`.
        logits: of each snapshot or part, `(members, n, K)`; None of a classical head, which has none.
        embeddings: `(n, E)`: what the head's `embed` gives, or its standardised input where it has none (frames and layers
            averaged); None where they were not asked for, or are ids of words.
    """

    probabilities: Floats
    logits: Floats | None
    embeddings: Floats | None


def positions(data: Tensors, ids: Sequence[Any], dataset: str) -> Rows:
    """Rows of the utterances that a record names; where it is of several corpora their ids may begin with the corpus.

    Returns:
        `(len(ids),)`, -1 where there is no such utterance.
    """
    place = {name: k for k, name in enumerate(data.frame["utterance_id"])}
    prefix = f"{dataset}/"
    return np.array([place.get(i, place.get(str(i).removeprefix(prefix), -1)) for i in ids], dtype=np.int64)
