"""A trained head on disk: one safetensors file with the weights and, as JSON in its header, all that is needed to use it.

Of a classical head the weights are the fitted classifier of scikit-learn, as the bytes of a skops file.

The header holds classes (the label encoder), head and options, what each store's features were (encoder and identity, so
that new audio gets the same ones), the statistics of the normalisation, and the stamps of the data it was trained on.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ser.errors import ConfigError, SerError
from ser.features.blocks import Block
from ser.features.normalise import Statistics, scale
from ser.features.tensors import Tensors
from ser.train.classical.classifier import Classical, is_classical, neural_only
from ser.train.classical.learner import pooled, shares_of
from ser.train.classical.saved import pack, unpack, unusable
from ser.train.heads._base import part_of, plugin
from ser.train.loop.config import Config, make_config
from ser.train.loop.data import Data, Resident
from ser.train.loop.dialogues import Turns
from ser.train.loop.prediction import predict
from ser.train.nn.layers import Input
from ser.train.runs.divergence import strange
from ser.train.runs.recipe import Recipe
from ser.workspace import writing

SCHEMA = "ser.head/1"
CLASSIFIER = "classifier.skops"
Turn = tuple[NDArray[np.int64], NDArray[np.int64]]  # numbers of the dialogue and of the turn of each utterance


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
        data: what it was trained on.
        weights: of each part, `(n,)`; of a classical head the fitted classifier.
        statistics: of the normalisation by store; {} where there is none to apply to new data.
        source: where it comes from: experiment, run, fold, seed.
    """
    from safetensors.torch import save_file

    about = {
        "schema": SCHEMA,
        "classes": list(data.classes),
        "dataset": data.dataset,
        "config": config.as_dict(),
        "inputs": [i._asdict() for i in Resident(data.blocks).inputs],
        "stores": {b.name: {**data.stores[b.name], "assets": b.assets} for b in data.blocks},
        "normalize": normalize,
        "limit": limit,
        "stamps": stamps,
        **source,
    }
    if isinstance(config, Classical):
        tensors = {CLASSIFIER: torch.frombuffer(bytearray(pack(weights[0], config.head)), dtype=torch.uint8)}
    else:
        tensors = {f"weights.{k}": w.detach().cpu().contiguous() for k, w in enumerate(weights)}
    for name, s in statistics.items():
        tensors |= {f"{key}:{name}": torch.from_numpy(np.ascontiguousarray(s[key])) for key in ("mean", "std")}
    with writing(path) as temporary:
        save_file(tensors, temporary, metadata={"ser": json.dumps(about, ensure_ascii=False, allow_nan=False)})


@dataclass(frozen=True, eq=False)
class SavedHead:
    """A head read back.

    Attributes:
        about: the header.
        config: how it was trained.
        weights: of each part, `(n,)`; of a classical head the fitted classifier.
        statistics: by store.
        notes: what its user should know.
    """

    about: dict[str, Any]
    config: Recipe
    weights: list[Any]
    statistics: dict[str, Statistics]
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> list[str]:
        return list(self.about["classes"])

    @property
    def inputs(self) -> list[Input]:
        return [Input(**i) for i in self.about["inputs"]]

    @property
    def neural(self) -> Config:
        """How a neural head was trained.

        Raises:
            ConfigError: a classical head, which has nothing inside that could be looked at.
        """
        if isinstance(self.config, Classical):
            raise neural_only(self.config.head)
        return self.config

    @property
    def longest(self) -> float | None:
        """The length of the longest utterance in training, s; None where the head does not say."""
        durations = self.about.get("durations")
        longest = durations.get("max") if isinstance(durations, dict) else None
        return float(longest) if isinstance(longest, int | float) and longest > 0 else None

    @property
    def standardises_by(self) -> str:
        """`speaker` or `corpus`, where new utterances are standardised by their own statistics; else nothing."""
        how = str(self.about["normalize"])
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
        """Class probabilities of new utterances, `(n, classes)`.

        Args:
            blocks: raw features, one block for each of `inputs`, in that order. With a head that was normalised per
                speaker, the statistics of these very utterances are used.
            turns: numbers of each utterance's dialogue and turn, for a head on dialogues.
            speakers: of each utterance, `(n,)`; None: all are of one.

        Raises:
            ConfigError: features of another shape than the head was trained on, or no turns for a head on dialogues.
        """
        if isinstance(self.config, Classical):
            return self.classified(pooled(self.standardised(blocks, speakers)))
        parts = self.parts(self.standardised(blocks, speakers), device, turns)
        found = [predict(data, config, w, np.arange(len(data.labels)))[0] for data, config, w in parts]
        return found[0] if len(found) == 1 else np.asarray(plugin(self.config.head).combine(found))

    def classified(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Class probabilities by a classical head, `(n, classes)`.

        Args:
            values: standardised features, pooled and side by side, `(n, D)`.

        Raises:
            ConfigError: the classifier cannot be run by this scikit-learn.
            TrainingError: a probability is not finite.
        """
        assert isinstance(self.config, Classical)
        try:
            shares = shares_of(self.weights[0], self.config, values, len(self.classes))
        except SerError:
            raise
        except Exception as error:  # attributes of another version fail in many ways
            raise unusable(
                f"{self.config.head} cannot be run", f"scikit-learn {self.config.scikit_learn}, which saved it", error
            ) from None
        odd = strange(shares)
        if odd is not None:
            raise odd
        return shares

    def standardised(self, blocks: Sequence[Block], speakers: NDArray[np.object_] | None = None) -> list[Block]:
        """Raw features as the head wants them, by the statistics it was saved with, or else by their own.

        Raises:
            ConfigError: features of another shape than the head was trained on.
        """
        for block, wanted in zip(blocks, self.inputs, strict=True):
            if (block.dim, block.framewise, block.layers) != (wanted.dim, wanted.framewise, wanted.layers):
                raise ConfigError(
                    f"features of {block.name} do not fit the head", expected=wanted, found=block.values.shape
                )
        limit = float(self.about["limit"])
        return [scale(b, str(self.about["normalize"]), self.statistics, limit, speakers) for b in blocks]

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
        parts = [list(blocks)] if part_of(whole.head) == whole.head else [[b] for b in blocks]
        config = replace(whole, head=part_of(whole.head))
        return [
            (Data(self._resident(part, device, turns), labels, len(self.classes), nothing, nothing), config, w[None])
            for part, w in zip(parts, self.weights, strict=True)
        ]

    def _resident(self, blocks: Sequence[Block], device: str, turns: Turn | None) -> Resident:
        if self.config.context == "utterance":
            return Resident(blocks, device)
        if turns is None:
            raise ConfigError("this head reads dialogues", expected="the dialogue and the turn of each utterance")
        return Turns(blocks, *turns, device)


def head_facts(path: Path) -> dict[str, Any]:
    """The header of a saved head; weights are not read.

    Raises:
        ConfigError: the file is missing or is no head of this program.
    """
    return _read(path, whole=False)[0]


def load_head(path: Path) -> SavedHead:
    """Read a saved head; nothing is unpickled.

    Raises:
        ConfigError: the file is missing, is no head of this program, or holds what is not to be trusted.
    """
    about, tensors = _read(path)
    options = {k: v for k, v in about["config"].items() if k != "head"}
    statistics: dict[str, Statistics] = {}
    for name, tensor in tensors.items():
        key, _, store = name.partition(":")
        if key == "mean" and f"std:{store}" in tensors:
            statistics[store] = {"mean": tensor.numpy(), "std": tensors[f"std:{store}"].numpy()}
    if is_classical(about["config"]["head"]):
        try:
            config = Classical(**about["config"])
        except TypeError as error:
            raise ConfigError(f"{path} is of another version of ser", found=error, action="Train it again.") from None
        columns = sum(i["dim"] for i in about["inputs"])
        content = tensors[CLASSIFIER].numpy().tobytes() if CLASSIFIER in tensors else b""
        fitted, notes = unpack(content, config, columns, str(path))
        return SavedHead(about, config, [fitted], statistics, notes)
    weights = [tensors[f"weights.{k}"] for k in range(sum(n.startswith("weights.") for n in tensors))]
    return SavedHead(about, make_config(about["config"]["head"], **options), weights, statistics)


def _read(path: Path, whole: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors of a file."""
    from safetensors import SafetensorError, safe_open

    advice = "Train one with: ser fit ... --save"
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("ser", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()} if whole else {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"cannot read the head {path}", found=error, action=advice) from None
    if about.get("schema") != SCHEMA:
        raise ConfigError(f"{path} is no head of ser", expected=SCHEMA, found=about.get("schema"), action=advice)
    return about, tensors
