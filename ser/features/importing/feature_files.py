"""Files of features and of facts beside them, as a command names them: `text=FILE`, `visual:openface=FILE.npz:KEY`."""

import hashlib
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from numpy.typing import NDArray

from ser.errors import ConfigError, CorpusError
from ser.features.stores.layout import MODALITIES
from ser.files import sha256_of
from ser.metadata.labels import alike, from_word, several
from ser.metadata.schema import Row, TableFacts
from ser.metadata.words_in_cells import as_label, is_missing

FACTS = ("ids", "labels", "lengths", "speakers")  # of utterances, beside features
MAX_UNPACKED = 2**26  # bytes that what a compressed file holds may have whatever the file's size
MAX_RATIO = 1100  # and beyond it, times the file's size: deflate, which np.savez_compressed uses, stays below 1032
PARTS = ("", "train", "validation", "test")
_FILE = re.compile(r"(.+?\.(?:npz|pkl|pickle)):(.+)", re.IGNORECASE)


@dataclass(frozen=True)
class FeatureFile:
    """A file, or a folder of files, and its use.

    Attributes:
        what: a modality, or one of `FACTS`.
        store: name of the feature store; empty for facts.
        part: `train`, `validation`, `test`, or empty where it is of all or says so itself.
        path: of the file or folder.
        key: the array of it, where it holds several: `text`, or with `/` between steps: `train/vision`.
    """

    what: str
    store: str
    part: str
    path: Path
    key: str = ""

    @property
    def modality(self) -> str:
        return self.what if self.what in MODALITIES else ""

    @property
    def file(self) -> str:
        """Its name without the folder, with the key."""
        return f"{self.path.name}:{self.key}" if self.key else self.path.name

    @property
    def name(self) -> str:
        """Its name in an error."""
        return f"{self.path}:{self.key}" if self.key else str(self.path)


def parse(word: str, part: str = "") -> FeatureFile:
    """Parse a source as the command line has it: `NAME=FILE` or `MODALITY:STORE=FILE`, with `:KEY` for one array of several.

    Raises:
        ConfigError: it is not of that form, or the file does not exist.
    """
    name, equals, rest = word.partition("=")
    what, _, store = name.strip().partition(":")
    if not equals or what not in (*MODALITIES, *FACTS) or (store and what in FACTS):
        option = f"--{part or 'features'}"
        raise ConfigError(
            f"{option} {word}",
            expected=f"NAME=FILE, NAME one of {', '.join((*MODALITIES, *FACTS))}, or visual:openface to name a store",
        )
    if store and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", store):
        raise ConfigError(f"{store!r} cannot be the name of a feature store", expected="letters, digits, '-', '_' and '.'")
    inner = _FILE.fullmatch(rest)
    path, key = (Path(inner[1]), inner[2]) if inner and not Path(rest).exists() else (Path(rest), "")
    if not path.exists():
        raise ConfigError(f"there is no {path}", action="Give a file, or a folder of UTTERANCE_ID.npy.")
    return FeatureFile(what, (store or what) if what in MODALITIES else "", part, path, key)


def sha256(path: Path) -> str:
    """Hash of a file; of a folder's `.npy` files with their names."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.npy")) if path.is_dir() else [path]:
        own = sha256_of(file).hexdigest()
        if file == path:
            return own
        digest.update(f"{file.name} {own}\n".encode())
    return digest.hexdigest()


Values = Sequence[NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Beside:
    """Facts of utterances that lie beside their features: labels, ids, lengths or speakers.

    Attributes:
        source: the file.
        values: one for each utterance, in the order of the rows, or of `ids`.
        ids: utterance ids, where the file has them.
    """

    source: FeatureFile
    values: Any
    ids: list[str] | None = None


@dataclass(frozen=True, eq=False)
class Content:
    """The content of a file of features.

    Attributes:
        values: one array per utterance: `(D,)` or `(frames, D)`; or of dialogues, `(turns, D)`.
        ids: their utterance ids, where it has them.
        labels: their labels, where it has a column of them.
        facts: other columns of the utterance table, by name.
        names: of the features, where it has a header.
        left_out: columns that are facts of an utterance, not features, and have no other use here.
    """

    values: Values
    ids: list[str] | None = None
    labels: list[Any] | None = None
    facts: dict[str, list[Any]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class ImportedFeature:
    """Features of one store.

    Attributes:
        store: its name.
        modality: audio, text or visual.
        pieces: utterance ids and their features, `(D,)` or `(frames, D)` each; one piece for each file.
        files: file's name -> its SHA-256.
        names: of the features, where the files have a header.
    """

    store: str
    modality: str
    pieces: list[tuple[list[str], Values]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Imported:
    """Features, and what the files say of their utterances.

    Attributes:
        rows: rows of the utterance table, each with `utterance_id` at least.
        features: one per store.
        facts: entries of the table's sidecar that differ from those of any import.
        notes: for the user.
    """

    rows: list[Row]
    features: list[ImportedFeature]
    facts: TableFacts = field(default_factory=lambda: TableFacts())
    notes: list[str] = field(default_factory=list)


def composed(utterance: str) -> str:
    """An utterance's id with accents in one encoding (NFC): names of files may have another."""
    return unicodedata.normalize("NFC", utterance)


class Label(TypedDict):
    """`label` and `emotion` of a row."""

    label: str
    emotion: str


def labelled(value: Any, names: Sequence[str] | None, where: object) -> Label:
    """Make `label` and `emotion` of a row from a label as files have it. Numbers are named by their place in `names`.

    Raises:
        CorpusError: a number that is not a class, or several labels.
        ConfigError: names for labels that are words.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        word = as_label(str(value))
        word = "" if is_missing(word) else word
        if names and word:
            raise ConfigError(f"--label-names: the labels of {where} are words already, such as {word!r}") from None
        if len(several(word)) > 1:
            raise CorpusError(f"{where}: {word!r} is several labels", expected="one label for each utterance") from None
        return {"label": word, "emotion": from_word(word) if word else ""}
    if number != number:
        return {"label": "", "emotion": ""}
    if not number.is_integer() or (names and not 0 <= number < len(names)):
        raise CorpusError(
            f"{where}: label {value}",
            expected=f"0 to {len(names) - 1}, as there are {len(names)} names" if names else "the number of a class",
            action=None if names else "Ratings are imported with --rating NAME:LOW:HIGH.",
        )
    word = names[int(number)] if names else str(int(number))
    return {"label": word, "emotion": from_word(word)}


def as_rating(value: Any, where: object) -> float | None:
    """Read a label as a rating, a number; None where the file has none for an utterance.

    Raises:
        CorpusError: it is not a finite number.
    """
    text = str(value).strip()
    try:
        number = math.nan if is_missing(text) else float(text)
    except ValueError:
        number = math.inf
    if math.isinf(number):
        raise CorpusError(
            f"{where}: label {value!r}",
            expected="a rating, as --rating says: a finite number, with a decimal point",
            action="Name the column of ratings with --label.",
        )
    return None if math.isnan(number) else number


def same_label(one: Any, other: Any) -> bool:
    """True for two spellings of a word; for two ratings that differ by no more than single precision; where one is missing."""
    if isinstance(one, str) and isinstance(other, str):
        return alike(one, other)
    return one is None or other is None or math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6)
