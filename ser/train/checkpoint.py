"""A trained head that was saved, and its predictions on new utterances. `ser.train.head_file` reads and writes the file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec import UNSET
from numpy.typing import NDArray
from torch import Tensor

from ser.errors import ConfigError, SerError
from ser.features.blocks import Block
from ser.features.normalise import Statistics, distances, scale
from ser.features.tensors import Tensors
from ser.metadata.targets import EMOTION
from ser.train.classical.classifier import Classical, neural_only
from ser.train.classical.learner import pooled, shares_of
from ser.train.classical.saved import pack, unpack, unusable_classifier
from ser.train.head_file import (
    CLASSIFIER,
    AudioForm,
    Durations,
    HeadFacts,
    StoredInput,
    Unit,
    head_facts,
    read_head,
    write_head,
)
from ser.train.heads._base import groups_of, part_of, plugin
from ser.train.loop.config import Config
from ser.train.loop.data import Data, Resident, inputs_of
from ser.train.loop.dialogues import Turns
from ser.train.loop.prediction import predict, rescaled
from ser.train.nn.layers import Input
from ser.train.runs.identity import parts_from_outside
from ser.train.runs.recipe import Recipe

Turn = tuple[NDArray[np.int64], NDArray[np.int64]]  # numbers of the dialogue and of the turn of each utterance
Floats = NDArray[np.float64]


def save_head(
    path: Path,
    *,
    data: Tensors,
    config: Recipe,
    weights: list[Any],
    normalize: str,
    limit: float,
    statistics: dict[str, Statistics],
    stamps: list[str],
    source: dict[str, Any],
) -> None:
    """Write one run's head.

    Args:
        path: ends in `.safetensors`.
        data: the tensors that it was trained on.
        weights: of each part, `(n,)`; of a classical head the fitted classifier.
        statistics: of the normalisation by store; {} where there is none to apply to new data.
        source: the run that the head is of: experiment, run, fold, seed.
    """
    facts = {
        "schema": "ser.head/1",
        "classes": list(data.classes),
        "dataset": data.dataset,
        "config": config.as_dict(),
        "inputs": [StoredInput(*i) for i in inputs_of(data.blocks)],
        "stores": {b.name: {**data.stores[b.name], "assets": b.assets} for b in data.blocks},
        "normalize": normalize,
        "limit": limit,
        "stamps": stamps,
    }
    facts |= parts_from_outside(config.as_dict())
    if data.target.kind != EMOTION:
        facts["learns"] = data.target.text
    if data.scales:
        facts["scales"] = data.scales
    if data.unit is not None:
        facts["unit"] = Unit(*(values.tolist() for values in data.unit))
    if isinstance(config, Classical):
        tensors = {CLASSIFIER: torch.frombuffer(bytearray(pack(weights[0], config.head)), dtype=torch.uint8)}
    else:
        tensors = {f"weights.{k}": w.detach().cpu().contiguous() for k, w in enumerate(weights)}
    for name, s in statistics.items():
        tensors |= {f"{key}:{name}": torch.from_numpy(np.ascontiguousarray(s[key])) for key in ("mean", "std")}
    write_head(path, HeadFacts(**{**facts, **source}), tensors)


@dataclass(frozen=True, eq=False)
class SavedHead:
    """A head read back.

    Attributes:
        about: the header.
        config: the configuration that it was trained with.
        weights: of each part, `(n,)`; of a classical head the fitted classifier.
        statistics: by store.
        notes: for its user.
    """

    about: HeadFacts
    config: Recipe
    weights: list[Any]
    statistics: dict[str, Statistics]
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> list[str]:
        return list(self.about.classes)

    @property
    def target(self) -> str:
        """The kind of its target, see `ser.metadata.targets`."""
        return self.config.target

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions whose values follow its classes; () of a head on either."""
        return self.about.dimensions

    @property
    def inputs(self) -> list[Input]:
        return self.about.columns

    @property
    def neural(self) -> Config:
        """The configuration of a neural head.

        Raises:
            ConfigError: the head is a classical one, which has no layers.
        """
        if isinstance(self.config, Classical):
            raise neural_only(self.config.head)
        return self.config

    @property
    def audio(self) -> AudioForm | None:
        """Rates and channels of the recordings of the training corpus; None where the head does not say."""
        return None if self.about.audio is UNSET else self.about.audio

    @property
    def standardises_by(self) -> str:
        """`speaker` or `corpus`, where new utterances are standardised by their own statistics; else nothing."""
        how = self.about.normalize
        own = how == "speaker" or (how == "corpus" and not self.statistics)
        return how if own and not all(i.vocabulary for i in self.inputs) else ""

    def probabilities(
        self,
        blocks: list[Block],
        device: str = "cpu",
        *,
        turns: Turn | None = None,
        speakers: NDArray[np.object_] | None = None,
    ) -> NDArray[np.float64]:
        """Class probabilities of new utterances, `(n, classes)`; of dimensions their values, on the scale of the ratings.

        Of a class and dimensions, the values follow the probabilities.

        Args:
            blocks: raw features, one block for each of `inputs`, in that order. With a head that was normalised per
                speaker, the statistics of these very utterances are used.
            turns: numbers of each utterance's dialogue and turn, for a head on dialogues.
            speakers: of each utterance, `(n,)`; None: all are of one.

        Raises:
            ConfigError: features of another shape than the head was trained on, no turns for a head on dialogues, or a
                probability that is not finite.
        """
        if isinstance(self.config, Classical):
            return self.classified(pooled(self.standardised(blocks, speakers)))
        parts = self.parts(self.standardised(blocks, speakers), device, turns)
        found = [predict(data, config, w, np.arange(len(data.labels)))[0] for data, config, w in parts]
        whole = found[0] if len(found) == 1 else np.asarray(plugin(self.config.head).combine(found))
        return finite_probabilities(self.on_scales(whole))

    def on_scales(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bring the values of dimensions, the last outputs `(..., K)`, to the scale of the ratings; others stay."""
        unit = self.about.unit
        return outputs if unit is UNSET else rescaled(outputs, unit.mean, unit.std)

    def judged(
        self,
        blocks: list[Block],
        device: str = "cpu",
        *,
        turns: Turn | None = None,
        speakers: NDArray[np.object_] | None = None,
    ) -> tuple[Floats, Floats | None]:
        """The results of `probabilities` and of `novelty`; None for the latter if the head does not know it."""
        shares = self.probabilities(blocks, device, turns=turns, speakers=speakers)
        return shares, self.novelty(blocks) if self.knows_novelty else None

    @property
    def knows_novelty(self) -> bool:
        """True where the head says how far from their mean its training utterances lie, and so what is novel to it."""
        return bool(self.statistics) and self.about.novelty is not UNSET

    def novelty(self, blocks: list[Block]) -> Floats:
        """The distance of new utterances from the mean of those in training, `(n,)`; 1 is as far as 99 % of these are at most.

        Args:
            blocks: raw features, as of `probabilities`, of a head that `knows_novelty`.
        """
        assert self.about.novelty is not UNSET
        return distances(self.standardised(blocks)) / self.about.novelty

    def classified(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Class probabilities by a classical head, `(n, classes)`; of dimensions their values, on the scale of the ratings.

        Args:
            values: standardised features, pooled and side by side, `(n, D)`.

        Raises:
            ConfigError: the classifier cannot be run by this scikit-learn, or a probability is not finite.
        """
        assert isinstance(self.config, Classical)
        try:
            shares = shares_of(self.weights[0], self.config, values, len(self.classes))
        except SerError:
            raise
        except Exception as error:  # attributes of another version fail in many ways
            raise unusable_classifier(
                f"{self.config.head} cannot be run", f"scikit-learn {self.config.scikit_learn}, which saved it", error
            ) from None
        return finite_probabilities(self.on_scales(shares))

    def standardised(self, blocks: Sequence[Block], speakers: NDArray[np.object_] | None = None) -> list[Block]:
        """Standardise raw features by the statistics that the head was saved with, or else by their own.

        Raises:
            ConfigError: features of another shape than the head was trained on.
        """
        for block, wanted in zip(blocks, self.inputs, strict=True):
            if (block.dim, block.framewise, block.layers) != (wanted.dim, wanted.framewise, wanted.layers):
                raise ConfigError(f"features of {block.name} do not fit the head", expected=wanted, found=block.values.shape)
        return [scale(b, self.about.normalize, self.statistics, self.about.limit, speakers) for b in blocks]

    def parts(
        self, blocks: Sequence[Block], device: str = "cpu", turns: Turn | None = None
    ) -> list[tuple[Data, Config, Tensor]]:
        """Of each part (one, but of a late fusion) its data, its configuration and its weights `(1, n)`.

        Args:
            blocks: standardised features.
            turns: as `probabilities`.

        Raises:
            ConfigError: a classical head.
        """
        whole = self.neural
        count = len(blocks[0].values) if blocks[0].offsets is None else len(blocks[0].offsets) - 1
        labels, nothing = np.zeros(count, dtype=np.int64), np.arange(0)
        parts = groups_of(whole.head, blocks)
        config = replace(whole, head=part_of(whole.head))
        return [
            (
                Data(
                    self._resident(part, device, turns),
                    labels,
                    len(self.classes),
                    nothing,
                    nothing,
                    dimensions=len(self.dimensions),
                ),
                config,
                w[None],
            )
            for part, w in zip(parts, self.weights, strict=True)
        ]

    def _resident(self, blocks: Sequence[Block], device: str, turns: Turn | None) -> Resident:
        if self.config.context == "utterance":
            return Resident(blocks, device)
        if turns is None:
            raise ConfigError("this head reads dialogues", expected="the dialogue and the turn of each utterance")
        return Turns(blocks, *turns, device)


def load_head(path: Path) -> SavedHead:
    """Read a saved head; nothing is unpickled.

    Raises:
        ConfigError: the file is missing, is damaged, is not a head of this program, or declares sizes that it does not have.
    """
    facts, recipe, tensors, statistics = read_head(path)
    if not isinstance(recipe, Classical):
        weights = [tensors[f"weights.{k}"] for k in range(len(tensors))]
        return SavedHead(facts, recipe, weights, statistics, _other_sources(facts))
    columns = sum(i.dim for i in facts.inputs)
    fitted, notes = unpack(tensors[CLASSIFIER].numpy().tobytes(), recipe, columns, str(path))
    return SavedHead(facts, recipe, [fitted], statistics, notes)


def refuse_others(files: Sequence[Path], heads: Sequence[SavedHead]) -> None:
    """Refuse heads that do not read and answer what the first does: their answers could not be averaged.

    Raises:
        ConfigError: one is of something else, with its file and the difference.
    """
    first = heads[0]
    for file, head in zip(files, heads, strict=True):
        for what, own, wanted in (
            ("answers", [*head.classes, *head.dimensions], [*first.classes, *first.dimensions]),
            ("has the target", head.target, first.target),
            ("reads", [i.name for i in head.inputs], [i.name for i in first.inputs]),
            ("reads", head.about.stores, first.about.stores),
            ("is normalised by", head.standardises_by, first.standardises_by),
            ("sees", head.config.context, first.config.context),
        ):
            if own != wanted:
                raise ConfigError(
                    f"the head {file} {what} something else than the first one",
                    expected=f"heads of one experiment: {wanted}",
                    found=own,
                )


def durations_of(heads: Sequence[SavedHead]) -> Durations | None:
    """The lengths of the utterances in training that all of some heads know; None where none of them says.

    Each head was trained on others: `min` is the largest of theirs, `max` the smallest, `median` that of their medians.
    """
    stated = [head.about.durations for head in heads]
    known = [one for one in stated if one is not UNSET and one.max > 0]
    if not known:
        return None
    middle = float(np.median([one.median for one in known]))
    return Durations(min=max(one.min for one in known), median=middle, max=min(one.max for one in known))


def _other_sources(facts: HeadFacts) -> tuple[str, ...]:
    """A line for each part from outside whose source is not that of the training."""
    here = {part["name"]: part["sha256"] for part in parts_from_outside(facts.config).get("outside", [])}
    return tuple(
        f"the source of {part.kind} {part.name} is not that of the training (SHA-256 {here.get(part.name, 'none')[:12]}, "
        f"then {part.sha256[:12]}): what the head says may be wrong"
        for part in ([] if facts.outside is UNSET else facts.outside)
        if here.get(part.name) != part.sha256
    )


def finite_probabilities(probabilities: Floats) -> Floats:
    """Pass on the probabilities of a saved head; a ConfigError where one of them is not finite."""
    if not np.isfinite(probabilities).all():
        raise ConfigError(
            "the head gives probabilities that are not finite",
            expected="numbers from 0 to 1",
            action="Check the features: ser store verify. If they are sound, the head is damaged: train it again.",
        )
    return probabilities


__all__ = ["HeadFacts", "SavedHead", "finite_probabilities", "head_facts", "load_head", "save_head"]
