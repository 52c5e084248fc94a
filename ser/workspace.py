"""The folder a user works in: `metadata/`, `features/` and `results/`, and how files are written into it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say what was being written
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
