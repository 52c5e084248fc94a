"""A cluster of Dask."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from ser.errors import UnusableError
from ser.optional import absent
from ser.workers.cluster import CONNECT_SECONDS, Cluster, deadly, lost, not_installed
from ser.workers.envelopes import open_envelope

PATIENCE_SECONDS = 2.0  # between two looks at the connection
WORKER_SECONDS = 20.0  # for a first worker to appear
TIMEOUTS = (TimeoutError, asyncio.TimeoutError)  # one class from Python 3.11 on


class Dask(Cluster):
    """A Dask cluster; a scheduler has the units, and each worker has one thread."""

    NAME, VARIABLE = "dask", "DASK_SCHEDULER_ADDRESS"
    START = "dask scheduler; dask worker ADDRESS --nthreads 1"

    def __init__(self, address: str | None) -> None:
        address = self.reached(address)
        try:
            import distributed
        except ImportError:
            raise absent("distributed", "dask", "--backend dask") from None
        self.distributed = distributed
        address = address if "://" in address else f"tcp://{address}"
        try:
            self.client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, *TIMEOUTS, ValueError) as error:
            raise UnusableError(
                f"there is no Dask scheduler at {address}", found=str(error).split("\n")[0], action="Correct --address."
            ) from None
        try:
            self.client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except TIMEOUTS:
            self.close()
            raise UnusableError(
                f"the Dask cluster at {address} has no worker after {WORKER_SECONDS:g} s",
                action=f"Start some: dask worker {address} --nthreads 1",
            ) from None

    def submit(self, envelope: bytes) -> Any:
        return self.client.submit(open_envelope, envelope, pure=False)

    def finished(self, futures: list[Any], what: str) -> Iterable[Any]:
        while True:
            if self.client.status not in ("running", "connecting"):
                raise lost("Dask", what, f"the connection is {self.client.status}")
            try:
                with self.client.as_current():
                    done: Iterable[Any] = self.distributed.wait(
                        futures, timeout=PATIENCE_SECONDS, return_when="FIRST_COMPLETED"
                    ).done
                return done
            except TIMEOUTS:
                continue
            except (asyncio.CancelledError, CancelledError):
                raise lost("Dask", what, "the scheduler is gone") from None

    def result(self, future: Any, what: str) -> Any:
        try:
            return future.result()
        except self.distributed.KilledWorker:
            raise deadly(what) from None
        except (asyncio.CancelledError, CancelledError, self.distributed.comm.CommClosedError):
            raise lost("Dask", what, "the scheduler is gone") from None
        except ModuleNotFoundError as error:
            raise not_installed(error) from None

    def close(self, futures: Iterable[Any] = ()) -> None:
        with suppress(Exception):  # the scheduler may be gone
            self.client.close(timeout=2)
