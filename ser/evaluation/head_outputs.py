"""The outputs of saved heads on a cached corpus: probabilities and values, logits, embeddings, of features standardised as in
training; and their spread over workers."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from msgspec import UNSET
from numpy.typing import NDArray

from ser.accelerator import device_here
from ser.errors import ConfigError, StoreError
from ser.evaluation.evaluated_model import EvaluatedModel, head_of_file
from ser.features.blocks import Block
from ser.features.normalise import normalise
from ser.features.stored_layers import as_used
from ser.features.tensors import Tensors, load_tensors
from ser.metadata.table import load_table
from ser.metadata.targets import DIMENSIONS, EMOTION, LABELS, MIXED, VOTES
from ser.train.checkpoint import SavedHead, finite_probabilities
from ser.train.classical.classifier import Classical
from ser.train.classical.learner import pooled as side_by_side
from ser.train.heads._base import offers_embedding, plugin
from ser.train.loop.dialogues import turns_of
from ser.train.loop.prediction import embed, heads, logits, predict
from ser.train.loop.target_selection import pooled
from ser.train.nn.parameters import Parameters
from ser.train.runs.joined_corpora import identities, same_encoders
from ser.train.runs.scheduler import run_units
from ser.workers.engine import CLUSTERS, THREADS, Engine
from ser.workspace import Workspace

START_SECONDS = 5.0  # that workers of this machine take to start: shorter work is done without them
PIECES = 4  # that each worker of this machine gets: a piece carries the tables of its corpora
T = TypeVar("T")
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Resources:
    """The workspace with the features, and where heads run on them.

    Attributes:
        device: as of torch.
        memory: GiB that the features of a corpus may take, see `ser.load_tensors`.
        engine: the workers that heads run in.
    """

    space: Workspace
    device: str
    memory: float | None
    engine: Engine


@dataclass(frozen=True, eq=False)
class HeadOutputs:
    """The outputs of a head for n utterances.

    Attributes:
        probabilities: `(n, K)`; of a head on dimensions alone their values, on the scale of the ratings.
        values: of dimensions beside classes, likewise, `(n, D)`; D is 0 where there are none.
        logits: of each snapshot or part, `(members, n, K)`; None of a classical head, which has none.
        embeddings: `(n, E)`: what the head's `embed` gives, or its standardised input where it has none (frames and layers
            averaged); None where they were not wanted, or are ids of words.
    """

    probabilities: Floats
    values: Floats
    logits: Floats | None
    embeddings: Floats | None


@dataclass(eq=False)
class CorpusFeatures:
    """The raw features of a corpus, standardised for one head after another, and the device that the heads run on."""

    data: Tensors
    device: str = "cpu"
    _standardised: dict[tuple[str, float], list[Block]] = field(default_factory=dict)

    def blocks(self, head: SavedHead) -> list[Block]:
        """The features as the head was trained on them: by its own statistics, or those of this corpus or its speakers."""
        if not standardised_together(head):
            return head.standardised(self.data.blocks)
        how, limit = str(head.about.normalize), head.about.limit
        if (how, limit) not in self._standardised:
            everyone = np.arange(len(self.data.frame))
            self._standardised[how, limit] = list(normalise(self.data, how, everyone, limit)[0].blocks)
        return self._standardised[how, limit]

    def outputs(self, head: SavedHead, rows: Rows, embeddings: bool = False) -> HeadOutputs:
        """Run a head on some utterances; a head on dialogues sees each among those turns of its dialogue that are in `rows`."""
        if isinstance(head.config, Classical):
            values = side_by_side(self.blocks(head))[rows]
            shares = head.classified(values)
            return HeadOutputs(shares, shares[:, :0], None, values if embeddings else None)
        classes = len(head.classes)
        found, each, vectors = [], [], []
        turns = turns_of(self.data) if head.config.context == "dialogue" else None
        for data, config, weights in head.parts(self.blocks(head), device_here(self.device), turns):
            found.append(predict(data, config, weights, rows)[0])
            parameters = Parameters(heads(data, config, [0]), data.resident.device)
            for snapshot in weights.chunk(config.snapshots, dim=1):
                parameters.load(snapshot)
                each.append(logits(parameters, data, rows).cpu().double().numpy()[0][:, :classes])
            if embeddings and (turns is not None or offers_embedding(config.head)):
                vectors.append(embed(data, config, weights, rows)[0])
            elif embeddings and not any(i.vocabulary for i in data.resident.inputs):
                vectors.append(pooled(data.resident, rows))
        joined = found[0] if len(found) == 1 else np.asarray(plugin(head.config.head).combine(found))
        shares, values = np.split(finite_probabilities(head.on_scales(joined)), [classes], axis=1)
        whole = len(vectors) == len(found)
        return HeadOutputs(shares, values, np.stack(each), np.concatenate(vectors, axis=1) if whole else None)

    def positions(self, ids: Sequence[Any]) -> Rows:
        """The rows of utterances that a record names; where it is of several corpora, ids may begin with the corpus.

        Returns:
            `(len(ids),)`, -1 where there is no such utterance.
        """
        place = {name: k for k, name in enumerate(self.data.frame["utterance_id"])}
        prefix = f"{self.data.dataset}/"
        return np.array([place.get(i, place.get(str(i).removeprefix(prefix), -1)) for i in ids], dtype=np.int64)

    def recorded_positions(self, rows: pd.DataFrame) -> Rows:
        """As `positions`, of recorded predictions, all of which must be there.

        Raises:
            StoreError: the corpus no longer has one of them.
        """
        where = self.positions(list(rows["utterance_id"]))
        if (where < 0).any():
            missing = rows["utterance_id"].iloc[int((where < 0).argmax())]
            raise StoreError(f"{self.data.dataset} no longer has the utterance {missing}, which the record was tested on")
        return where


def load_features_for(model: EvaluatedModel, dataset: str, scheme: str, resources: Resources) -> CorpusFeatures:
    """Load a corpus under the heads' classes, labels or dimensions, from stores of the heads' encoders.

    Of votes the classes are read (`ser.evaluation.votes` has what they say); so they are of a class and dimensions where the
    corpus is not rated on these.

    Raises:
        ConfigError: no utterance has one of the classes, or not all labels occur.
        StoreError: features of another encoder.
    """
    head = model.first_head
    learns, scales = model.learns, head.about.scales
    unrated = learns.kind == MIXED and set(learns.names) - set(load_table(dataset, resources.space).ratings)
    data = load_tensors(
        dataset,
        resources.space,
        scheme=scheme,
        stores=model.stores,
        classes=None if learns.kind == DIMENSIONS else head.classes,
        target=EMOTION if learns.kind == VOTES or unrated else learns.text,
        scales={} if scales is UNSET else scales,
        memory=resources.memory,
    )
    data = as_used(data, head.about.stores)
    if learns.kind == LABELS and list(data.classes) != head.classes:
        raise ConfigError(
            f"{dataset} does not tell all labels of the head apart under scheme {scheme}",
            expected=", ".join(head.classes),
            found=", ".join(data.classes),
        )
    if not len(data.frame):
        raise ConfigError(
            f"{dataset}: no utterance has a class of the head under scheme {scheme}", expected=", ".join(head.classes)
        )
    same_encoders(model.name, identities(head.about.stores), dataset, identities(data.stores))
    return CorpusFeatures(data, resources.device)


def standardised_together(head: SavedHead) -> bool:
    """True where features are standardised by the utterances that are there, so that others among them change them."""
    return head.about.normalize != "none" and not head.statistics


Sides = Sequence[tuple[CorpusFeatures, Rows]]  # corpora, and utterances of each


def over_heads(
    function: Callable[..., T], model: EvaluatedModel, units: Sequence[tuple[Any, ...]], engine: Engine
) -> Iterator[tuple[int, T]]:
    """Yield each unit's position and `function(*unit)`, as they finish, spread over workers where that pays.

    A unit is the work with one head: the head's file, `Sides`, and what else the function takes. The first one is done here: if
    the others would take less time than workers of this machine need to start, they are too. Each is computed in one thread,
    so that numbers do not depend on where.
    """
    together = model.heads and standardised_together(model.first_head)
    for corpus in {id(c): c for _, sides, *_ in units for c, _ in sides}.values() if together else ():
        corpus.blocks(model.first_head)  # which keeps them: not in each worker
    first = 0
    here = engine.backend not in CLUSTERS
    if here:
        begun, first = time.monotonic(), 1
        yield from run_units(function, units[:1], Engine(), "evaluation")
        shared = engine.backend == THREADS and isinstance(model.first_head.config, Classical)  # see `plan.engine_of`
        if shared or (time.monotonic() - begun) * (len(units) - 1) < START_SECONDS:
            engine = Engine()
    size = -(-(len(units) - first) // (PIECES * engine.jobs)) if here and engine.jobs > 1 else 1
    starts = range(first, len(units), max(1, size))
    pieces = [(function, units[start : start + size]) for start in starts]
    with closing(run_units(_each, pieces, engine, "evaluation")) as results:
        for k, found in results:
            yield from enumerate(found, starts[k])


def _each(function: Callable[..., T], units: Sequence[tuple[Any, ...]]) -> list[T]:
    return [function(*unit) for unit in units]


def probabilities(head: Path, sides: Sides) -> list[Floats]:
    """The probabilities of a saved head, `(n, K)`, in each of some corpora."""
    loaded = head_of_file(head)
    return [corpus.outputs(loaded, rows).probabilities for corpus, rows in sides]
