"""Units of work as bytes that go to the workers of a cluster, and the files of the data in them.

A unit goes to a worker as a pickle. Large arrays and tables in it do not: each is written once into a folder of the workspace,
which all machines must see under the same path, and workers map it into memory. So data travel once however many units share
them, processes of one machine share its page cache, and a lost worker loses none of them.
"""

import io
import os
import pickle
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ser.errors import ConfigError, SerError
from ser.optional import installed
from ser.workers.threads import one_thread

LARGE = 1 << 16  # bytes from which an array is a file
ROWS = 256  # rows from which a table is a file
FOLDER = ".shared"


def _versions() -> dict[str, str]:
    """The versions that client and workers must share: others may give other bits."""
    import ser

    # llvmlite compiles the kernels of large heads (`ser.train.nn.kernels`).
    packages = ("numpy", "pandas", "torch", "llvmlite")
    return {"ser": ser.__version__} | {name: installed(name) or "none" for name in packages}


@dataclass(frozen=True)
class Failed:
    """The error of a unit, as a result: Dask and Ray change exceptions on their way."""

    error: SerError


@contextmanager
def shared_folder(workspace: Path) -> Iterator[Path]:
    """Make a folder for this command's arrays, and remove it at the end; also those that killed commands of this host left."""
    host = socket.gethostname()
    above = workspace.resolve() / FOLDER
    for old in above.glob(f"{host}-*-*"):
        owner, process, _ = old.name.rsplit("-", 2)  # a host's name may have a hyphen, and begin with this one's
        with suppress(ValueError):
            if owner == host and not _alive(int(process)):
                shutil.rmtree(old, ignore_errors=True)
    folder = above / f"{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # another command's folders are in it
            above.rmdir()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class Envelopes:
    """Envelopes of units, and the files of the large arrays and tables in them, each written once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[int, str] = {}
        self.kept: list[Any] = []  # so that no other object gets the id of one that was written

    def envelope(self, function: Callable[..., Any], unit: tuple[Any, ...]) -> bytes:
        """A unit of work as bytes that `open_envelope` takes."""
        content = io.BytesIO()
        _Pickler(content, self).dump((function, unit))
        return pickle.dumps((_versions(), str(Path.cwd()), str(self.folder), content.getvalue()))

    def name(self, content: Any) -> str | None:
        """The name of the file of a large array or table; None for anything else."""
        import numpy as np
        import pandas as pd

        array = type(content) in (np.ndarray, np.memmap) and not content.dtype.hasobject and content.nbytes >= LARGE
        if not array and not (isinstance(content, pd.DataFrame) and len(content) >= ROWS):
            return None
        if id(content) not in self.names:
            name = f"{len(self.names)}{'.npy' if array else '.pickle'}"
            with (self.folder / name).open("wb") as file:
                if array:
                    np.save(file, content)
                else:
                    pickle.dump(content, file, protocol=5)
                file.flush()
                os.fsync(file.fileno())  # another machine is told of it next
            self.names[id(content)] = name
            self.kept.append(content)
        return self.names[id(content)]


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, files: Envelopes) -> None:
        super().__init__(file, protocol=5)
        self.files = files

    def persistent_id(self, content: Any) -> str | None:
        return self.files.name(content)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, folder: Path) -> None:
        super().__init__(file)
        self.folder = folder

    def persistent_load(self, name: str) -> Any:
        contents = _contents(self.folder)
        if name not in contents:
            contents[name] = _read(self.folder / name)
        return contents[name]


@lru_cache(maxsize=1)
def _contents(folder: Path) -> dict[str, Any]:
    """The arrays and tables of one command that this worker has read, by name; those of the command before are let go."""
    return {}


def _read(path: Path) -> Any:
    """An array, mapped into memory, or a table that this program wrote."""
    import numpy as np

    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r")
    with path.open("rb") as file:
        return pickle.load(file)


def open_envelope(envelope: bytes) -> Any:
    """Do a unit of work, on a worker, and return its result, or its `SerError` as a `Failed`."""
    try:
        return _opened(envelope)
    except SerError as error:
        return Failed(error)


def _opened(envelope: bytes) -> Any:
    """Do a unit of work.

    Raises:
        ConfigError: this worker has other versions, several threads, or does not see the workspace.
    """
    theirs, directory, folder, content = pickle.loads(envelope)
    here = f"the worker on {socket.gethostname()}"
    differing = {name: (theirs[name], own) for name, own in _versions().items() if theirs[name] != own}
    if differing:
        raise ConfigError(
            f"{here} has other versions",
            expected=", ".join(f"{name} {one}" for name, (one, _) in differing.items()),
            found=", ".join(f"{name} {other}" for name, (_, other) in differing.items()),
            action="Install the same on all machines.",
        )
    if _threads() > 1:
        raise ConfigError(
            f"{here} works in {_threads()} threads, and numbers would depend on the neighbours",
            expected="one thread in each process",
            action="Start it by: dask worker ADDRESS --nthreads 1 --nworkers N",
        )
    _wait_for(Path(folder), here)
    before = Path.cwd()
    if Path(directory).is_dir():
        os.chdir(directory)  # paths of the command are relative to it
    try:
        with one_thread():
            function, unit = _Unpickler(io.BytesIO(content), Path(folder)).load()
            return function(*unit)
    finally:
        os.chdir(before)


def _threads() -> int:
    """The threads of this worker that units would share: Dask's; those of Ray have one."""
    try:
        from distributed import get_worker

        return int(get_worker().state.nthreads)
    except (ImportError, ValueError):
        return 1


def _wait_for(folder: Path, here: str) -> None:
    """Wait until a folder that another machine has just made is seen here: NFS keeps lists of names for some seconds."""
    for _ in range(10):
        if folder.is_dir():
            return
        time.sleep(0.5)
    raise ConfigError(
        f"{here} does not see the workspace",
        expected=f"the folder {folder}",
        action="Put the workspace on a file system that all machines share under the same path.",
    )
