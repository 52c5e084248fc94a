"""Work spread over a cluster, by Dask or Ray, which find the workers, and give the work of lost ones to others.

A unit of work goes to a worker as a pickle. Large arrays and tables in it do not: each is written once into a folder of the
workspace, which all machines must see under the same path, and workers map it into memory. So data travel once however many
units share them, processes of one machine share its page cache, and a lost worker loses none of them.
"""

import asyncio
import io
import os
import pickle
import shutil
import socket
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from ser.errors import ConfigError, SerError

if TYPE_CHECKING:
    from ser.parallel import Engine

T = TypeVar("T")
BACKENDS = {"dask": "DASK_SCHEDULER_ADDRESS", "ray": "RAY_ADDRESS"}  # with the variable that holds the address
LARGE = 1 << 16  # bytes from which an array is a file
ROWS = 256  # rows from which a table is a file
AHEAD = 256  # units that a cluster is given before their turn
CONNECT_SECONDS = 5.0
PATIENCE_SECONDS = 2.0  # between two looks at the connection
WORKER_SECONDS = 20.0  # for a first worker to appear
AGAIN = 3  # times that the unit of a lost worker is done again; Dask's `allowed-failures`, which its scheduler decides
FOLDER = ".shared"


def spread(
    function: Callable[..., T], units: Iterable[tuple[Any, ...]], engine: "Engine", what: str
) -> Generator[tuple[int, T], None, None]:
    """Yield each unit's position and the result of `function(*unit)`, as they finish.

    Args:
        what: named in errors.

    Raises:
        ConfigError: there is no address, no package, or nothing at the address; a worker does not fit.
        SerError: the cluster was lost, or one unit's worker time and again.
    """
    address = engine.address or os.environ.get(BACKENDS[engine.backend])
    waiting: dict[Any, int] = {}
    cluster: Cluster = {"dask": Dask, "ray": Ray}[engine.backend](_checked(engine.backend, address))
    try:
        with _folder(engine.workspace) as folder:
            rest = enumerate(units)
            files = _Files(folder)
            while True:
                while len(waiting) < AHEAD and (following := next(rest, None)) is not None:
                    number, unit = following
                    waiting[cluster.submit(files.envelope(function, unit))] = number
                if not waiting:
                    return
                for done in cluster.finished(list(waiting), what):
                    number, result = waiting.pop(done), cluster.result(done, what)
                    if isinstance(result, _Failed):
                        raise result.error
                    yield number, result
    finally:
        cluster.close(list(waiting))


def _checked(backend: str, address: str | None) -> str:
    """An address at which something listens.

    Raises:
        ConfigError: there is none; or nothing answers within seconds.
    """
    if backend == "ray" and (address in ("auto", "local") or (not address and Ray.session() is not None)):
        return address or "auto"
    if not address:
        start = {"dask": "dask scheduler; dask worker ADDRESS --nthreads 1", "ray": "ray start --head"}[backend]
        raise ConfigError(
            f"--backend {backend} has no address",
            expected=f"--address HOST:PORT, or {BACKENDS[backend]}",
            action=f"A cluster is started by: {start}. See docs/cluster.md.",
        )
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise ConfigError(f"--address {address}", expected="HOST:PORT, as 10.0.0.1:8786")
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ConfigError(
            f"nothing answers at {address}, the address of --backend {backend}",
            found=error.strerror or str(error),
            action="Start the cluster, or correct --address.",
        ) from None
    return address


@dataclass(frozen=True)
class _Failed:
    """The error of a unit, as a result: Dask and Ray change exceptions on their way."""

    error: SerError


class Cluster(ABC):
    """A connection to a cluster."""

    @abstractmethod
    def submit(self, envelope: bytes) -> Any:
        """Give a unit to the cluster; return its future."""

    @abstractmethod
    def finished(self, futures: list[Any], what: str) -> Iterable[Any]:
        """Wait until some are done, and return those."""

    @abstractmethod
    def result(self, future: Any, what: str) -> Any:
        """Return the result of a future that is done."""

    @abstractmethod
    def close(self, futures: Iterable[Any] = ()) -> None:
        """Give up what has not been done, which are these, and the connection."""


def _lost(backend: str, what: str, error: object) -> SerError:
    return SerError(
        f"{what}: the {backend} cluster was lost",
        found=str(error).strip().split("\n")[0][:200] or None,
        action="What was done is kept; start the cluster again, and give the same command again.",
    )


def _deadly(what: str) -> SerError:
    return SerError(
        f"{what}: a unit's worker ended {AGAIN + 1} times while it worked on it, for want of memory perhaps",
        action="What was done is kept; start workers with more memory, or fewer on a machine, and give the same command again.",
    )


def _missing(backend: str) -> ConfigError:
    return ConfigError(f"--backend {backend} needs a package", action=f"pip install 'ser[{backend}]'")


class Dask(Cluster):
    """A Dask cluster; a scheduler has the units, and each worker has one thread."""

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError:
            raise _missing("dask") from None
        self.distributed = distributed
        address = address if "://" in address else f"tcp://{address}"
        try:
            self.client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ConfigError(
                f"there is no Dask scheduler at {address}", found=str(error).split("\n")[0], action="Correct --address."
            ) from None
        try:
            self.client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except TimeoutError:
            self.close()
            raise ConfigError(
                f"the Dask cluster at {address} has no worker after {WORKER_SECONDS:g} s",
                action=f"Start some: dask worker {address} --nthreads 1",
            ) from None

    def submit(self, envelope: bytes) -> Any:
        return self.client.submit(open_envelope, envelope, pure=False)

    def finished(self, futures: list[Any], what: str) -> Iterable[Any]:
        while True:
            if self.client.status not in ("running", "connecting"):
                raise _lost("Dask", what, f"the connection is {self.client.status}")
            try:
                with self.client.as_current():
                    done: Iterable[Any] = self.distributed.wait(
                        futures, timeout=PATIENCE_SECONDS, return_when="FIRST_COMPLETED"
                    ).done
                return done
            except TimeoutError:
                continue
            except (asyncio.CancelledError, CancelledError):
                raise _lost("Dask", what, "the scheduler is gone") from None

    def result(self, future: Any, what: str) -> Any:
        try:
            return future.result()
        except self.distributed.KilledWorker:
            raise _deadly(what) from None
        except (asyncio.CancelledError, CancelledError, self.distributed.comm.CommClosedError):
            raise _lost("Dask", what, "the scheduler is gone") from None
        except ModuleNotFoundError as error:
            raise _no_package(error) from None

    def close(self, futures: Iterable[Any] = ()) -> None:
        with suppress(Exception):  # the scheduler may be gone
            self.client.close(timeout=2)


class Ray(Cluster):
    """A Ray cluster; each unit takes one core of it. A session that this process has opened before is used, and left open."""

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ImportError:
            raise _missing("ray") from None
        self.ray = ray
        session = Ray.session()
        self.own = session is None
        here = ray.util.get_node_ip_address()
        if session is not None and address not in ("auto", "local") and _place(address, here) != _place(session, here):
            raise ConfigError(
                f"--address {address}, and this process has a Ray session at another place",
                found=session,
                action="Leave out the address, or end the session by ray.shutdown().",
            )
        try:
            if self.own:
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"there is no Ray cluster at {address}", found=str(error).split("\n")[0], action="Correct --address."
            ) from None
        self.call = ray.remote(num_cpus=1, max_retries=AGAIN)(open_envelope)

    def submit(self, envelope: bytes) -> Any:
        return self.call.remote(envelope)

    def finished(self, futures: list[Any], what: str) -> Iterable[Any]:
        done: Iterable[Any] = self.ray.wait(futures, num_returns=1)[0]
        return done

    def result(self, future: Any, what: str) -> Any:
        errors = self.ray.exceptions
        try:
            return self.ray.get(future)
        except errors.RayTaskError as error:
            if isinstance(error.cause, ModuleNotFoundError):
                raise _no_package(error.cause) from None
            raise
        except (errors.WorkerCrashedError, errors.OutOfMemoryError):
            raise _deadly(what) from None
        except errors.RayError as error:
            raise _lost("Ray", what, error) from None

    def close(self, futures: Iterable[Any] = ()) -> None:
        with suppress(Exception):  # the cluster may be gone
            if self.own:
                self.ray.shutdown()
            for future in () if self.own else futures:
                self.ray.cancel(future)

    @staticmethod
    def session() -> str | None:
        """The address of the Ray session of this process; None where it has none."""
        ray = sys.modules.get("ray")
        return ray.get_runtime_context().gcs_address if ray is not None and ray.is_initialized() else None


def _place(address: str, here: str) -> tuple[str, int | None]:
    """The number of the host of an address, and the port; all names of this machine, whose number is `here`, are one."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    host = parts.hostname or ""
    with suppress(OSError):
        host = socket.gethostbyname(host)
    return here if host.startswith("127.") else host, parts.port


def _no_package(error: ModuleNotFoundError) -> ConfigError:
    return ConfigError(
        f"a worker cannot import {error.name}", action="Install the same ser, with the same packages, on all machines."
    )


def _versions() -> dict[str, str]:
    """The versions that client and workers must share: others may give other bits."""
    import ser

    return {"ser": ser.__version__} | {name: version(name) for name in ("numpy", "pandas", "torch")}


@contextmanager
def _folder(workspace: Path) -> Iterator[Path]:
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


class _Files:
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
    def __init__(self, file: io.BytesIO, files: _Files) -> None:
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
    """Do a unit of work, on a worker, and return its result, or its `SerError` as a `_Failed`."""
    try:
        return _opened(envelope)
    except SerError as error:
        return _Failed(error)


def _opened(envelope: bytes) -> Any:
    """Do a unit of work.

    Raises:
        ConfigError: this worker has other versions, several threads, or does not see the workspace.
    """
    from ser.parallel import one_thread

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
    """Wait until a folder that another machine has just made is seen here: NFS keeps lists of names for some seconds.

    Raises:
        ConfigError: it is not seen.
    """
    for _ in range(10):
        if folder.is_dir():
            return
        time.sleep(0.5)
    raise ConfigError(
        f"{here} does not see the workspace",
        expected=f"the folder {folder}",
        action="Put the workspace on a file system that all machines share under the same path.",
    )
