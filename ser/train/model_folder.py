"""A folder with a model to hand on: the files of its heads, `config.json`, and the model card `README.md`.

The heads are files of `ser.train.head_file`, which say all that is needed to use them. `config.json` says the same for
readers that are not this program: the names of the outputs, the encoders, the normalisation, the places of all weights; and
beside that the temperatures of calibration, which no head's file has. Nothing in such a folder is run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from ser.errors import ConfigError, UnusableError
from ser.files import sha256_of
from ser.jsonfile import Count, Model, Positive, Sha256, Word, decode, read_limited
from ser.metadata.schema import Scale
from ser.metadata.targets import EMOTION, plugin
from ser.results.metrics.calibration import HIGHEST, LOWEST
from ser.results.records.names import CONFIG, HEAD
from ser.train.head_file import stated_facts

CARD = "README.md"
_AGAIN = "Copy the folder again, or export the model again: ser export folder."
FileName = Annotated[str, Meta(pattern=rf"^[A-Za-z0-9_][A-Za-z0-9_.+-]*\{HEAD}$")]


class Outputs(Model, kw_only=True):
    """The outputs of the heads.

    Attributes:
        target: `emotion` (one class), `votes`, `labels` (several at once), `dimensions`, or a target from outside.
        names: in the order of the outputs; of a class and dimensions, the classes and then the dimensions.
        activation: of the logits: `softmax`, `sigmoid`, or `value` for none; `softmax and value` of the classes alone.
        scales: of dimensions, the ends of the scale that they are on.
    """

    target: Word
    names: Annotated[list[Word], Meta(min_length=1)]
    activation: Literal["softmax", "sigmoid", "value", "softmax and value"]
    scales: dict[str, Scale] | UnsetType = UNSET


class EncoderFacts(Model, kw_only=True):
    """A store of features that the heads read, and the encoder that makes it; null is: not known, or it has none."""

    name: Word
    modality: Word
    dim: Positive
    framewise: bool
    layers: Positive
    vocabulary: Count
    encoder: Word
    plugin: str | None = None
    model: str | None
    revision: str | None
    weights_sha256: str | None
    level: str | None
    layer_numbers: list[int] | None
    pooling: str | None
    window: str | int | None
    sample_rate: int | None
    licence: str


class Normalisation(Model, kw_only=True):
    """The standardisation of features; with `train` by the tensors `mean:NAME` and `std:NAME` of each head's file."""

    by: Literal["none", "train", "corpus", "speaker"]
    limit: Annotated[float, Meta(ge=0)]


class Architecture(Model, kw_only=True):
    """The head: its name in ser, its options, and the snapshots whose weights lie one after another, each a head."""

    head: Word
    options: dict[str, Any]
    snapshots: Positive = 1


class Place(Model, kw_only=True):
    """The place of a weight in the flat tensor `weights.PART` of a head's file, from `offset` on, row by row."""

    part: Count
    name: Word
    shape: list[Count]
    offset: Count


class LicenceFacts(Model, kw_only=True):
    """The licence of a corpus or an encoder that the model rests on."""

    kind: Annotated[str, Meta(pattern="^(corpus|encoder)$")]
    name: Word
    licence: str


class HeadEntry(Model, kw_only=True):
    """One head: its file, the run and fold that it is of, and the temperature of its probabilities; null where none."""

    file: FileName
    sha256: Sha256
    run: Count
    fold: str
    temperature: Annotated[float, Meta(ge=LOWEST, le=HIGHEST)] | None


class ModelConfig(Model, kw_only=True):
    """The content of `config.json`."""

    schema: Literal["ser.model/1"] = "ser.model/1"
    ser: Word
    experiment: Word
    trained_on: list[str]
    trained_rows: Annotated[
        str,
        Meta(
            description="`folds`: the training part of each fold; `source`: the training part of a transfer's source; "
            "`all`: all rows."
        ),
    ]
    stamps: list[str]
    outputs: Outputs
    inputs: Annotated[list[EncoderFacts], Meta(min_length=1)]
    normalisation: Normalisation
    architecture: Architecture
    weights: Annotated[list[Place], Meta(description="[] for classifiers of scikit-learn, whose tensor is a skops file.")]
    combination: Literal["mean of probabilities"] = "mean of probabilities"
    licences: list[LicenceFacts] = []  # noqa: RUF012  msgspec copies it
    heads: Annotated[list[HeadEntry], Meta(min_length=1)]


@dataclass(frozen=True, eq=False)
class ModelFolder:
    """A folder that was read: its path, and its `config.json`."""

    path: Path
    config: ModelConfig

    @property
    def files(self) -> list[Path]:
        """The files of the heads."""
        return [self.path / head.file for head in self.config.heads]

    @property
    def temperatures(self) -> list[float | None]:
        """Of each head, the temperature of its probabilities."""
        return [head.temperature for head in self.config.heads]


def read_model_folder(path: Path) -> ModelFolder:
    """Read a folder's `config.json`, and compare the files of its heads with the hashes in it.

    Raises:
        ConfigError: the folder lacks a file, or a file is not the one that `config.json` is of.
    """
    config = decode(read_limited(path / CONFIG, "configuration of a model"), ModelConfig, path / CONFIG)
    for head in config.heads:
        if not (path / head.file).is_file():
            raise UnusableError(
                f"{path} lacks {head.file}", expected=f"{len(config.heads)} heads", action="Copy the folder whole."
            )
        found = sha256_of(path / head.file).hexdigest()
        if found != head.sha256:
            raise UnusableError(
                f"{path / head.file} is not the file that {CONFIG} is of",
                expected=f"SHA-256 {head.sha256[:12]}",
                found=found[:12],
                action=_AGAIN,
            )
        _refuse_other_facts(path, config, head.file)
    return ModelFolder(path, config)


def _refuse_other_facts(path: Path, config: ModelConfig, file: str) -> None:
    """Refuse a `config.json` that says something else of a head than the head's own file, whose weights are bound to it."""
    facts = stated_facts(path / file)
    inputs = [(i.name, i.modality, i.dim, i.framewise, i.vocabulary, i.layers) for i in facts.inputs]
    stated_inputs = [(i.name, i.modality, i.dim, i.framewise, i.vocabulary, i.layers) for i in config.inputs]
    outputs, architecture, normalisation = config.outputs, config.architecture, config.normalisation
    for what, stated, own in (
        ("names of the outputs", outputs.names, [*facts.classes, *facts.dimensions]),
        ("target", outputs.target, facts.config.get("target", EMOTION)),
        ("activation of the outputs", outputs.activation, plugin(facts.config.get("target", EMOTION)).OUTPUT),
        ("scales", outputs.scales, facts.scales),
        ("inputs", stated_inputs, inputs),
        ("normalisation", (normalisation.by, normalisation.limit), (facts.normalize, facts.limit)),
        ("architecture", architecture.head, facts.config.get("head")),
        ("snapshots", architecture.snapshots, facts.config.get("snapshots", 1)),
        ("options of the head", architecture.options, facts.config.get("head_options", {})),
    ):
        if stated != own:
            raise UnusableError(
                f"{path / CONFIG} says something else of the {what} than {file}", expected=own, found=stated, action=_AGAIN
            )


def heads_and_temperatures(model: Path | str | Sequence[Path | str]) -> tuple[list[Path], list[float | None]]:
    """The files of heads, and the temperature of each.

    Args:
        model: the file of a head, the files of several, or a folder with `config.json`.

    Raises:
        ConfigError: there is no head, or as of `read_model_folder`.
    """
    several = [model] if isinstance(model, str | Path) else model
    if not isinstance(several, Sequence) or not all(isinstance(m, str | Path) for m in several):
        raise ConfigError("a model", expected="the path of a head or of a folder, or several", found=repr(model)[:80])
    paths = [Path(m) for m in several]
    if len(paths) == 1 and paths[0].is_dir():
        folder = read_model_folder(paths[0])
        return folder.files, folder.temperatures
    if not paths:
        raise ConfigError("no head to predict with", expected="the file of one, or of several of one experiment")
    return paths, [None] * len(paths)
