"""A cluster of Ray."""

import os
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ser.errors import ConfigError, UnusableError
from ser.optional import absent
from ser.workers.cluster import CONNECT_SECONDS, Cluster, deadly, lost, not_installed
from ser.workers.envelopes import open_envelope
from ser.workers.processes import AGAIN

PATIENCE_SECONDS = 5.0  # between two looks at the cluster's head
LOST_SECONDS = 30.0  # that it does not answer until it is lost
TOKEN = "If the cluster asks for a token, give it in RAY_AUTH_TOKEN, or as a file in RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token."


class Ray(Cluster):
    """A Ray cluster; each unit takes one core of it. A session that this process has opened before is used, and left open."""

    NAME, VARIABLE = "ray", "RAY_ADDRESS"
    START = "ray start --head"

    def __init__(self, address: str | None) -> None:
        address = self.reached(address)
        offer_token()
        try:
            import ray
        except ImportError:
            raise absent("ray", "ray", "--backend ray") from None
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
            raise UnusableError(
                f"Ray cannot be reached at {address}", found=str(error).split("\n")[0], action=f"Correct --address. {TOKEN}"
            ) from None
        self.place = str(ray.get_runtime_context().gcs_address)
        self.call = ray.remote(num_cpus=1, max_retries=AGAIN)(open_envelope)

    def submit(self, envelope: bytes) -> Any:
        return self.call.remote(envelope)

    def finished(self, futures: list[Any], what: str) -> Iterable[Any]:
        answered = time.monotonic()
        while True:
            done: Iterable[Any] = self.ray.wait(futures, num_returns=1, timeout=PATIENCE_SECONDS)[0]
            if done:
                return done
            if _answers(self.place):  # asking takes long where the machine is off
                answered = time.monotonic()
            elif time.monotonic() - answered >= LOST_SECONDS:  # after 60 Ray would end this process
                raise lost("Ray", what, f"nothing answers at {self.place}")

    def result(self, future: Any, what: str) -> Any:
        errors = self.ray.exceptions
        try:
            return self.ray.get(future)
        except errors.RayTaskError as error:
            if isinstance(error.cause, ModuleNotFoundError):
                raise not_installed(error.cause) from None
            raise
        except (errors.WorkerCrashedError, errors.OutOfMemoryError):
            raise deadly(what) from None
        except errors.RayError as error:
            raise lost("Ray", what, error) from None

    def close(self, futures: Iterable[Any] = ()) -> None:
        with suppress(Exception):  # the cluster may be gone
            if self.own:
                self.ray.shutdown()
            for future in () if self.own else futures:
                self.ray.cancel(future)

    @classmethod
    def reached(cls, address: str | None) -> str:
        if address in ("auto", "local") or (not address and Ray.session() is not None):
            return address or "auto"
        return super().reached(address)

    @staticmethod
    def session() -> str | None:
        """The address of the Ray session of this process; None where it has none."""
        ray = sys.modules.get("ray")
        return ray.get_runtime_context().gcs_address if ray is not None and ray.is_initialized() else None


def offer_token() -> None:
    """Let Ray send the token that this user has; it reads the setting when it is imported.

    `ray start` asks for a token as soon as there is one in the user's home, and `ray.init` leaves one there; but without this
    setting no program that connects sends it. A cluster that asks for none takes it too.
    """
    home = Path.home() / ".ray" / "auth_token"
    if any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")) or home.is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _answers(place: str) -> bool:
    """True if something listens at `HOST:PORT`."""
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _place(address: str, here: str) -> tuple[str, int | None]:
    """The number of the host of an address, and the port; all names of this machine, whose number is `here`, are one."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    host = parts.hostname or ""
    with suppress(OSError):
        host = socket.gethostbyname(host)
    return here if host.startswith("127.") else host, parts.port
