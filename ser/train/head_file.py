"""The file of a saved head: one safetensors file with the weights and, as JSON in its header, all that is needed to use them.

The header holds classes (the label encoder), head and options, the origin of each store's features (encoder and identity, so
that new audio gets the same ones), the normalisation, and the stamps of the data that the head was trained on. Beside the
weights lie the statistics of the normalisation. Of a classical head the weights are the fitted classifier of scikit-learn, as
the bytes of a skops file.

A head file may come from anywhere. All of it is read here: only a regular file of at most `LARGEST` bytes is opened, its header
is checked field by field, and the sizes that it declares are compared with its tensors before anything of these sizes is made.
"""

import json
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType
from torch import Tensor

from ser.errors import ConfigError, SerError, UnusableError
from ser.features.normalise import Statistics
from ser.files import open_regular, unreadable, why_damaged
from ser.jsonfile import Count, Positive, Word, plain, require
from ser.metadata.schema import Scale
from ser.metadata.targets import EMOTION
from ser.registry import has, kinds
from ser.train.classical.classifier import Classical, class_of, is_classical
from ser.train.heads._base import groups_of, parameter_count, part_of
from ser.train.loop.config import make_config
from ser.train.nn.layers import Input
from ser.train.runs.recipe import Recipe
from ser.workspace import writing

SCHEMA = "ser.head/1"
CLASSIFIER = "classifier.skops"
LARGEST = 4 * 2**30  # bytes of a file: a hundred times the largest head that is built here
KNOWN = 0.99  # of the training utterances: one that is farther from their mean is called novel
MOST_TENSORS = 1000  # of a file
_OTHERS = {  # how files begin that people take for a saved head
    b"PK": "a zip archive, as of torch.save, NumPy or skops",
    b"\x80": "a pickle, as of joblib or an old torch.save",
    b"\x89HDF": "an HDF5 file, as a feature store",
    b"RIFF": "a recording",
    b"GGUF": "a GGUF file",
    b"\x1f\x8b": "a gzip archive",
    b"{": "JSON",
}
_AGAIN = "Train it again: ser fit ... --save"


class StoredInput(Struct, frozen=True):
    """One input of a head, see `ser.train.nn.layers.Input`."""

    name: Word
    modality: Word
    dim: Positive
    framewise: bool
    vocabulary: Count = 0
    layers: Positive = 1


class Durations(Struct):
    """The lengths of the training utterances, s."""

    min: float
    median: float
    max: float


class AudioForm(Struct):
    """The rates of the recordings of the training corpus, Hz, and the largest number of their channels."""

    lowest_rate: Positive
    highest_rate: Positive
    channels: Positive


class Unit(Struct):
    """Mean and standard deviation of each dimension over the training utterances."""

    mean: list[float]
    std: list[Annotated[float, Meta(gt=0)]]


class OutsidePart(Struct):
    """A part from outside of ser that a head needs, see `ser.outside.Part`; nothing is imported because a file names it."""

    kind: Word
    name: Word
    module: Word
    package: Word | None
    version: Word | None
    sha256: Word


class HeadFacts(Struct, kw_only=True):
    """The header of a saved head.

    Attributes:
        schema: of the file.
        classes: in the order of the probabilities.
        dataset: the corpora that the head was trained on, with `+` between them.
        config: see `ser.train.loop.config.Config` and `ser.train.classical.classifier.Classical`.
        inputs: the stores that the head reads, in its order.
        stores: of each, the encoder, its identity and its assets.
        normalize, limit: see `ser.features.normalise.normalise`.
        stamps: of the data.
        experiment, config_hash, run, fold, seed: the run that the head is of.
        durations: absent where none is known.
        audio: absent where the table does not say it, and of several corpora.
        novelty: the distance (`ser.features.normalise.distances`) within which `KNOWN` of the training utterances lie; absent
            where features are standardised by others than those of the training.
        learns: the target, where it is not one class; then `classes` are the names of its outputs.
        unit: of dimensions, the mean and the standard deviation that the head's answers are in.
        scales: of dimensions, the ends of the scale of the ratings, where the corpus states them.
        outside: parts from outside of ser that it needs; absent where there is none.
    """

    schema: Literal["ser.head/1"]
    classes: Annotated[list[Word], Meta(min_length=1)]
    dataset: str
    config: dict[str, Any]
    inputs: Annotated[list[StoredInput], Meta(min_length=1)]
    stores: dict[str, dict[str, Any]]
    normalize: Literal["none", "train", "corpus", "speaker"]
    limit: Annotated[float, Meta(ge=0)]
    stamps: list[str]
    experiment: str
    config_hash: str
    run: Count
    fold: str
    seed: int
    durations: Durations | UnsetType = UNSET
    audio: AudioForm | UnsetType = UNSET
    novelty: Annotated[float, Meta(gt=0)] | UnsetType = UNSET
    learns: Word | UnsetType = UNSET
    epochs: Count | UnsetType = UNSET  # of a final head; 0 of a classical one
    unit: Unit | UnsetType = UNSET
    scales: dict[str, Scale] | UnsetType = UNSET
    outside: list[OutsidePart] | UnsetType = UNSET

    def __post_init__(self) -> None:
        require(self.learns is not UNSET or len(self.classes) > 1, "Expected two classes or more")
        values = len(self.dimensions) or len(self.classes)
        known = self.unit is UNSET or len(self.unit.mean) == len(self.unit.std) == values
        require(known, "Expected mean and std of each dimension")

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions whose values follow the classes; () of a head on either."""
        first, *names = (self.learns or EMOTION).split(",")
        return tuple(names) if first == EMOTION else ()

    @property
    def columns(self) -> list[Input]:
        """The inputs as a head is built on them."""
        return [Input(**msgspec.structs.asdict(i)) for i in self.inputs]


class _Identity(Struct):
    """The parts of an encoder's identity that are read when new features are made."""

    level: str = ""
    layers: list[int] | None = None
    last_layer: int | None = None
    pooling: str | None = None
    dtype: str = ""
    revision: str | None = None
    text_source: dict[str, Any] | str | None = None
    outside: OutsidePart | None = None


class _Store(Struct):
    identity: _Identity
    encoder: str
    assets: dict[str, Any] = {}  # msgspec copies it


def write_head(path: Path, facts: HeadFacts, tensors: dict[str, Tensor]) -> None:
    """Write a head's file whole, with the permissions of any new file."""
    from safetensors.torch import save

    about = json.dumps(plain(facts), ensure_ascii=False, allow_nan=False)
    content = save(tensors, metadata={"ser": about})  # `save_file` makes a file that no other user may read
    with writing(path) as temporary:
        temporary.write_bytes(content)


def head_facts(path: Path) -> HeadFacts:
    """The header of a saved head; weights are not read.

    Raises:
        ConfigError: the file is missing, is damaged, or is not a head of this program.
    """
    return _read(path, whole=False)[0]


def stated_facts(path: Path) -> HeadFacts:
    """The header of a saved head as it stands; the parts from outside that it needs may be missing here.

    Raises:
        ConfigError: as of `head_facts`.
    """
    with _opened(path) as file:
        return _facts(path, (file.metadata() or {}).get("ser"))


def read_head(path: Path) -> tuple[HeadFacts, Recipe, dict[str, Tensor], dict[str, Statistics]]:
    """Read a saved head: its header, how it was trained, its weights by name, and its statistics by store.

    Raises:
        ConfigError: the file is missing, is damaged, is not a head of this program, or declares sizes that it does not have.
    """
    facts, recipe, tensors = _read(path, whole=True)
    statistics: dict[str, Statistics] = {}
    for name in [n for n in tensors if n.startswith("mean:")]:
        store = name.partition(":")[2]
        statistics[store] = {"mean": tensors.pop(name).numpy(), "std": tensors.pop(f"std:{store}").numpy()}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise _fault(path, "finite weights", f"numbers that are not finite in {name}")
    for store, own in statistics.items():
        if not (np.isfinite(own["mean"]).all() and np.isfinite(own["std"]).all() and (own["std"] > 0).all()):
            raise _fault(path, "finite means and deviations above 0", f"others of {store}")
    return facts, recipe, tensors, statistics


def _read(path: Path, whole: bool) -> tuple[HeadFacts, Recipe, dict[str, Tensor]]:
    """Read header and tensors, whose names, types and shapes are those that the header declares."""
    with _opened(path) as file:
        shapes = {}
        if len(names := list(file.keys())) > MOST_TENSORS:
            raise _fault(path, f"{MOST_TENSORS} tensors at most", len(names))
        for name in names:
            part = file.get_slice(name)
            shapes[name] = (str(part.get_dtype()), tuple(part.get_shape()))
        facts = _facts(path, (file.metadata() or {}).get("ser"))
        recipe = _recipe(path, facts, whole)
        _check_tensors(path, facts, recipe, shapes)
        tensors = {name: file.get_tensor(name) for name in shapes} if whole else {}
    return facts, recipe, tensors


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file of a head as safetensors opens it, which compares the tensors' places with the file's size."""
    from safetensors import SafetensorError, safe_open

    try:
        with open_regular(path) as file:  # a pipe would wait for ever
            size, beginning = os.fstat(file.fileno()).st_size, file.read(16)
        if size > LARGEST:
            raise _fault(path, f"{LARGEST >> 30} GiB at most", f"{size} bytes")
        with safe_open(path, framework="pt") as opened:
            yield opened
    except SafetensorError as error:
        found = next(
            (words for sign, words in _OTHERS.items() if beginning.startswith(sign)),
            why_damaged(path, ValueError(f"something else ({error})")),
        )
        found = found if beginning[8:9] != b"{" else f"a damaged or cut file of this kind ({error})"
        raise UnusableError(
            f"{path} is not a saved head of ser",
            expected="an experiment's name, or a file ending in .safetensors that ser fit --save wrote",
            found=found,
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        beside = sorted(p.name for p in path.parent.glob("*.safetensors")) if isinstance(error, FileNotFoundError) else []
        action = f"Beside it: {', '.join(beside[:5])}." if beside else "Train one with: ser fit ... --save"
        raise unreadable(f"the head {path}", error, action) from None


def _facts(path: Path, text: str | None) -> HeadFacts:
    if text is None:
        raise UnusableError(
            f"{path} is not a saved head of ser",
            expected=SCHEMA,
            found="no header of ser",
            action="Train one: ser fit ... --save",
        )
    try:
        facts = msgspec.json.decode(text.encode("utf-8", "surrogatepass"), type=HeadFacts)
        for store in (i.name for i in facts.inputs):
            if store not in facts.stores:
                raise _fault(path, "facts of each input's store", f"none of {store}")
            msgspec.convert(facts.stores[store], _Store)
    except msgspec.ValidationError as error:
        raise UnusableError(
            f"{path} is not a saved head of ser, or is of another version", found=_short(error), action=_AGAIN
        ) from None
    except (ValueError, RecursionError) as error:  # not JSON, not Unicode, or nested too deep
        raise _fault(path, "a header in JSON", error) from None
    for what, names in (("classes", facts.classes), ("inputs", [i.name for i in facts.inputs])):
        if len(set(names)) < len(names):
            raise _fault(path, f"{what} once each", ", ".join(names))
    return facts


def _recipe(path: Path, facts: HeadFacts, whole: bool) -> Recipe:
    head = facts.config.get("head")
    if not isinstance(head, str):
        raise _fault(path, "a configuration with a head", repr(head)[:80])
    need_parts(path, outside_parts(facts))
    try:
        if is_classical(head):
            classical = msgspec.convert(facts.config, Classical)
            if whole:
                class_of(head, classical.target)
            return classical
        return make_config(**facts.config)
    except msgspec.ValidationError as error:
        raise _fault(path, "the configuration of a classical head", error) from None
    except SerError as error:
        raise UnusableError(f"{path} is of another version of ser", found=_short(error), action=_AGAIN) from None


def outside_parts(facts: HeadFacts) -> list[OutsidePart]:
    """The parts from outside of ser that a head itself needs."""
    return [] if facts.outside is UNSET else list(facts.outside)


def encoder_parts(facts: HeadFacts, but: Collection[str] = ()) -> list[OutsidePart]:
    """The encoders from outside of ser that a head reads new recordings by, but those of the stores named."""
    stores = (msgspec.convert(facts.stores[i.name], _Store) for i in facts.inputs if i.name not in but)
    return [store.identity.outside for store in stores if store.identity.outside is not None]


def need_parts(path: Path, parts: Iterable[OutsidePart]) -> None:
    """Refuse a head of which parts from outside are not there, by a ConfigError: all of them at once, with what brings them."""
    missing = [
        part for part in parts if not any(has(package, part.name) for kind, package in kinds().items() if kind == part.kind)
    ]
    if not missing:
        return
    packages = dict.fromkeys(f"{part.package} {part.version}" for part in missing if part.package)
    sources = dict.fromkeys(
        f"{part.module}{f' of {part.package} {part.version}' if part.package else ''}, SHA-256 {part.sha256[:12]}"
        for part in missing
    )
    given = dict.fromkeys(f"--part {_reference(part)}" for part in missing if ":" in part.name or not part.package)
    it, which = ("it", "which is") if len(missing) == 1 else ("them", "which are")
    ways = [f"install {' and '.join(packages)}"] if packages else []
    ways += [f"name {it}: {' '.join(given)}"] if given else []
    raise ConfigError(
        f"{path} needs {', '.join(f'{part.kind} {part.name}' for part in missing)}, {which} from outside of ser",
        expected=" and ".join(sources),
        found="nothing of these names here",
        action=f"If you trust {it}, {' and '.join(ways)}",
    )


def _reference(part: OutsidePart) -> str:
    """What a user gives to `--part` for a part: its file, or a module that is found where it is installed."""
    module, ending = part.module.removesuffix(".py"), part.module.endswith(".py")
    if part.package or ("." in module and not ending):
        return part.name
    return f"FOLDER/{module}.py{part.name[part.name.index(':') :] if ':' in part.name else ''}"


def _check_tensors(path: Path, facts: HeadFacts, recipe: Recipe, shapes: dict[str, tuple[str, tuple[int, ...]]]) -> None:
    """Refuse tensors that are not those of the head that the header declares."""
    own = {name: shape for name, shape in shapes.items() if ":" not in name}
    for name in set(shapes) - set(own):
        key, _, store = name.partition(":")
        source = next((i for i in facts.columns if i.name == store and not i.vocabulary), None)
        if key not in ("mean", "std") or source is None:
            raise _fault(path, "statistics of its inputs", name)
        expected = ("F32", (source.layers, source.dim) if source.layers > 1 else (source.dim,))
        if shapes[name] != expected or f"mean:{store}" not in shapes or f"std:{store}" not in shapes:
            raise _fault(path, f"mean and std of {store}, {expected}", f"{name} {shapes[name]}")
    lacking = [i.name for i in facts.columns if not i.vocabulary and f"mean:{i.name}" not in shapes]
    if facts.normalize == "train" and lacking:
        raise _fault(path, "mean and std of each input", f"none of {', '.join(lacking)}")
    if isinstance(recipe, Classical):
        if [(n, kind, len(shape)) for n, (kind, shape) in own.items()] != [(CLASSIFIER, "U8", 1)]:
            raise _fault(path, f"{CLASSIFIER}, the bytes of a classifier", ", ".join(own) or "nothing")
        return
    part, columns = part_of(recipe.head), facts.columns
    if recipe.context == "dialogue":  # the head reads the vectors of turns as a sequence
        columns = [i._replace(framewise=True) for i in columns]
    parts = groups_of(recipe.head, columns)
    if set(own) != {f"weights.{k}" for k in range(len(parts))}:
        raise _fault(path, f"weights of {len(parts)} parts", ", ".join(sorted(own)) or "none")
    for k, inputs in enumerate(parts):
        kind, shape = own[f"weights.{k}"]
        each, rest = divmod(shape[0] if len(shape) == 1 else 0, recipe.snapshots)
        declared = f"head {part}, {', '.join(f'{n}={v}' for n, v in recipe.head_options.items())}"[:200]
        try:
            needed = parameter_count(part, inputs, len(facts.classes) + len(facts.dimensions), dict(recipe.head_options), each)
        except SerError as error:
            raise _fault(path, f"the weights of what it declares, {declared}", error) from None
        if kind != "F32" or rest or needed != each:
            raise _fault(path, f"{needed} weights for what it declares, {declared}", f"{kind} {shape}")


def _fault(path: Path, expected: object, found: object) -> ConfigError:
    return UnusableError(f"the head {path} is damaged or forged", expected=_short(expected), found=_short(found), action=_AGAIN)


def _short(words: object) -> str:
    return text if len(text := str(words)) <= 300 else text[:300] + "..."
