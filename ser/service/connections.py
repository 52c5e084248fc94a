"""Connections of the service: how many may be open, and how long one may ask nothing."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# Twice the uploads that may wait; with their files below the 1024 that a process may usually open.
MOST_CONNECTIONS = 512
SILENT_SECONDS = 20.0  # s in which the head of a request must have come, from the connection or the answer before on
_TEXT = b'{"error":"too many connections are open; expected %d at most. Ask again in a moment."}' % MOST_CONNECTIONS
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 2\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_TEXT), _TEXT)
)


class Connection(H11Protocol):
    """A connection of uvicorn that is closed where too many are open, or where no whole head of a request comes.

    uvicorn itself closes one that is silent after an answer, but not one that has begun another request and does not go on.
    """

    _silent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.write(_FULL)
            transport.close()
            return
        self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._silent is not None:
            self._silent.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._silent is not None:
            self._silent.cancel()
        self._silent = self.loop.call_later(SILENT_SECONDS, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()
