"""The folder a user works in: `metadata/`, `features/` and `results/`, and how files are written into it."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ser.errors import ConfigError


@dataclass(frozen=True)
class Workspace:
    """Paths below a workspace's root. Nothing is created until something is written."""

    root: Path = Path()

    def table(self, dataset: str) -> Path:
        """The utterance table of a dataset."""
        return self.root / "metadata" / f"{dataset}.csv"

    def folds(self, dataset: str) -> Path:
        """The published folds of a dataset, where its import brought some."""
        return self.root / "metadata" / "folds" / f"{dataset}.csv"

    def features(self, dataset: str) -> Path:
        """The folder of a dataset's feature stores."""
        return self.root / "features" / dataset

    def store(self, dataset: str, name: str) -> Path:
        """One feature store; its shards lie in a folder of the same name ending in `.shards`."""
        return self.features(dataset) / f"{name}.h5"

    @property
    def results(self) -> Path:
        """The folder of the records."""
        return self.root / "results"

    def datasets(self) -> list[str]:
        """Datasets that have a table."""
        return sorted(p.stem for p in (self.root / "metadata").glob("*.csv"))

    def with_features(self, stores: Iterable[str] = ()) -> list[str]:
        """Datasets that have a table and feature stores; where stores are named, those that have all of them."""
        named = set(stores)
        return [dataset for dataset in self.datasets() if (there := self.stores(dataset)) and named <= set(there)]

    def stores(self, dataset: str) -> list[str]:
        """Names of a dataset's feature stores: merged ones and ones that are shards only."""
        found = {p.stem for p in self.features(dataset).glob("*.h5")}
        found |= {p.parent.name.removesuffix(".shards") for p in self.features(dataset).glob("*.shards/*.h5")}
        return sorted(found)


def open_workspace(workspace: "Workspace | str | os.PathLike[str]") -> Workspace:
    """The workspace itself, or that of a folder.

    >>> open_workspace("work").results.as_posix()
    'work/results'
    """
    return workspace if isinstance(workspace, Workspace) else Workspace(Path(workspace))


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Write a file aside and rename it: a kill at any time leaves the old file or the new one, whole.

    Yields:
        A temporary path in the same folder; the file there becomes `path` when the block ends well.

    Raises:
        OSError: a full disk or the like, with the file's name; `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    token = os.urandom(3).hex()  # process numbers repeat between machines
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{token}.tmp")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say what was being written
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Write a folder aside and swap it in: a kill at any time leaves the old folder or the new one, whole.

    A kill between the two renames of the swap leaves both in `.NAME.writing` beside it; the next call puts the old one back
    before it begins.

    Yields:
        An empty folder beside `path`; it takes the place of `path`, with all that is there, when the block ends well.

    Raises:
        ConfigError: the folder is the one that the program runs in, or above it.
        OSError: a full disk or the like; `path` is as it was.
    """
    whole = replaceable(path)
    aside = whole.with_name(f".{whole.name}.writing")
    new, before = aside / "new", aside / "before"
    _put_back(before, whole)
    new.mkdir(parents=True)
    try:
        yield new
        for file in new.rglob("*"):
            sync(file)
        if whole.exists():
            whole.rename(before)
        new.rename(whole)
        sync(whole.parent)
    finally:
        _put_back(before, whole)


def replaceable(folder: Path) -> Path:
    """The whole path of a folder that may be swapped for another, links followed.

    Raises:
        ConfigError: the folder is the one that the program runs in, or above it: nobody would be left in the new one.
    """
    whole, here = folder.resolve(), Path.cwd()
    if whole == here or whole in here.parents:
        raise ConfigError(
            f"{folder} is the folder that the program runs in, or above it",
            expected="the name of a folder to write",
            action="Name one: --output NAME.",
        )
    return whole


def _put_back(before: Path, whole: Path) -> None:
    """Put a folder back that was renamed aside, where no other has taken its place, and remove what else is aside."""
    if before.exists() and not whole.exists():
        before.rename(whole)
    shutil.rmtree(before.parent, ignore_errors=True)


def sync(path: Path) -> None:
    """Have what was written at a path, or the names in a folder, on the disk when this returns."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
