"""Work spread over a cluster, which finds the workers, and gives the work of lost ones to others."""

import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from ser.errors import ConfigError, SerError, UnusableError
from ser.files import why
from ser.workers.envelopes import Envelopes, Failed, shared_folder
from ser.workers.processes import AGAIN

T = TypeVar("T")
AHEAD = 256  # units that a cluster is given before their turn
CONNECT_SECONDS = 5.0


class Cluster(ABC):
    """A connection to a cluster.

    Attributes:
        NAME: of the backend.
        VARIABLE: of the environment, with the address.
        START: the commands that start one.
    """

    NAME: ClassVar[str]
    VARIABLE: ClassVar[str]
    START: ClassVar[str]

    @abstractmethod
    def __init__(self, address: str | None) -> None:
        """Connect."""

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

    @classmethod
    def reached(cls, address: str | None) -> str:
        """An address at which something listens.

        Raises:
            ConfigError: there is none; or nothing answers within seconds.
        """
        if not address:
            raise ConfigError(
                f"--backend {cls.NAME} has no address",
                expected=f"--address HOST:PORT, or {cls.VARIABLE}",
                action=f"A cluster is started by: {cls.START}. See docs/cluster.md.",
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
            raise UnusableError(
                f"nothing answers at {address}, the address of --backend {cls.NAME}",
                found=why(error),
                action="Start the cluster, or correct --address.",
            ) from None
        return address


def spread(
    kind: type[Cluster],
    address: str | None,
    function: Callable[..., T],
    units: Iterable[tuple[Any, ...]],
    workspace: Path,
    what: str,
) -> Generator[tuple[int, T], None, None]:
    """Yield each unit's position and the result of `function(*unit)`, as they finish.

    Args:
        address: of the cluster; None reads it from the environment.
        workspace: the folder that all machines see under the same path.
        what: named in errors.

    Raises:
        ConfigError: there is no address, no package, or nothing at the address; a worker does not fit.
        SerError: the cluster was lost, or one unit's worker time and again.
    """
    waiting: dict[Any, int] = {}
    cluster = kind(address or os.environ.get(kind.VARIABLE))
    try:
        with shared_folder(workspace) as folder:
            rest = enumerate(units)
            envelopes = Envelopes(folder)
            while True:
                while len(waiting) < AHEAD and (following := next(rest, None)) is not None:
                    number, unit = following
                    waiting[cluster.submit(envelopes.envelope(function, unit))] = number
                if not waiting:
                    return
                for done in cluster.finished(list(waiting), what):
                    number, result = waiting.pop(done), cluster.result(done, what)
                    if isinstance(result, Failed):
                        raise result.error
                    yield number, result
    finally:
        cluster.close(list(waiting))


def lost(backend: str, what: str, error: object) -> SerError:
    """The error of a cluster that is gone."""
    return SerError(
        f"{what}: the {backend} cluster was lost",
        found=str(error).strip().split("\n")[0][:200] or None,
        action="What was recorded is kept; start the cluster again, and give the same command again.",
    )


def deadly(what: str) -> SerError:
    """The error of a unit that each of its workers ended at."""
    return SerError(
        f"{what}: a unit's worker ended {AGAIN + 1} times while it worked on it, for want of memory perhaps",
        action="What was done is kept; start workers with more memory, or fewer on a machine, and give the same command again.",
    )


def not_installed(error: ModuleNotFoundError) -> ConfigError:
    """The error of a worker that lacks a package."""
    return ConfigError(
        f"a worker cannot import {error.name}", action="Install the same ser, with the same packages, on all machines."
    )
