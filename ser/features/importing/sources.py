"""Which file holds what: `text=FILE`, `visual:openface=FILE.npz:KEY`, `labels=FILE`."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from ser.errors import ConfigError
from ser.features.choosing import MODALITIES

FACTS = ("ids", "labels", "lengths", "speakers")  # what a file may hold beside features
PARTS = ("", "train", "validation", "test")
_FILE = re.compile(r"(.+?\.(?:npz|pkl|pickle)):(.+)", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """A file, or a folder of files, and what it holds.

    Attributes:
        what: a modality, or one of `FACTS`.
        store: name of the feature store; empty for facts.
        part: `train`, `validation`, `test`, or empty where it is of all or says so itself.
        path: where it lies.
        key: which array of it, where it holds several: `text`, or with `/` between steps: `train/vision`.
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
        """What it is called in an error."""
        return f"{self.path}:{self.key}" if self.key else str(self.path)


def parse(word: str, part: str = "") -> Source:
    """A source as it is given on the command line: `NAME=FILE` or `MODALITY:STORE=FILE`, with `:KEY` for one array of several.

    Raises:
        ConfigError: it is not of that form, or there is no such file.
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
        raise ConfigError(f"{store!r} is no name for a feature store", expected="letters, digits, '-', '_' and '.'")
    inner = _FILE.fullmatch(rest)
    path, key = (Path(inner[1]), inner[2]) if inner and not Path(rest).exists() else (Path(rest), "")
    if not path.exists():
        raise ConfigError(f"there is no {path}", action="Give a file, or a folder of UTTERANCE_ID.npy.")
    return Source(what, (store or what) if what in MODALITIES else "", part, path, key)


def sha256(path: Path) -> str:
    """Hash of a file; of a folder's `.npy` files with their names."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.npy")) if path.is_dir() else [path]:
        own = hashlib.sha256()
        with file.open("rb") as content:
            while block := content.read(2**20):
                own.update(block)
        if file == path:
            return own.hexdigest()
        digest.update(f"{file.name} {own.hexdigest()}\n".encode())
    return digest.hexdigest()
