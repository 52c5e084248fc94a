"""Connections of the service: how many may be open, and how long one may ask nothing."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = (
    512  # twice the uploads that may wait; with their files below the 1024 that a process may usually open
)
SILENT_SECONDS = 20.0  # s in which the head of the first request must have come
_TEXT = b'{"error":"too many connections are open; expected %d at most. Ask again in a moment."}' % MOST_CONNECTIONS
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 2\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_TEXT), _TEXT)
)


class Connection(H11Protocol):
    """A connection of uvicorn that is closed where too many are open, or where no request comes."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.write(_FULL)
            transport.close()
            return
        self._silent: asyncio.TimerHandle = self.loop.call_later(SILENT_SECONDS, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()
