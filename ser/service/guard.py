"""The guard before the application: connections; token, rate, size and time of a request; headers of every answer."""

import asyncio
import hmac
import time
from collections.abc import Callable, Iterable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ser.service.limits import Rate, ServiceLimits

OPEN = ("/", "/page.css", "/page.js", "/health")  # paths that need no token
UPLOAD_SECONDS = 60.0  # s in which the next piece of a request must come
BODY_SECONDS = 300.0  # s in which all of it must come
MOST_WAITING = 256  # uploads that are received, wait or are answered; each may lie on disk
DRAINED = 4  # times the largest upload: what is read of a larger one before it is refused
ENVELOPE = 16_384  # bytes of a request beside its file
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

# Twice the uploads that may wait; with their files below the 1024 that a process may usually open.
MOST_CONNECTIONS = 512
SILENT_SECONDS = 20.0  # s in which the head of a request must have come, from the connection or the answer before on
_TEXT = b'{"error":"too many connections are open; expected %d at most. Ask again in a moment."}' % MOST_CONNECTIONS
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 2\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_TEXT), _TEXT)
)


def failure(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as JSON in one line."""
    return JSONResponse({"error": text}, status_code=status, headers=headers)


class Guard:
    """Everything that is refused before the application sees it, as ASGI middleware.

    Args:
        app: the application.
        limits: of the service.
        seen: called with path, status and s of each request.
        paths: those that there are.
        uploads: called with the number of uploads that are in work.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: ServiceLimits,
        seen: Callable[[str, int, float], None],
        paths: Iterable[str],
        uploads: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.app, self.limits, self.seen, self.paths, self.uploads = app, limits, seen, frozenset(paths), uploads
        self.waiting = 0
        self.rate = Rate(limits.rate) if limits.rate else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), 500
        path = scope["path"] if scope["path"] in self.paths else "other"

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            await self._guarded(scope, receive, answer)
        finally:
            self.seen(path, status, time.monotonic() - began)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(receive, self.limits.bytes)
        headers = Headers(scope=scope)
        refused = self._refused(scope, headers)
        length = headers.get("content-length", "")
        if refused is None and length.isdecimal() and int(length) > body.most:
            refused = failure(413, body.too_large(f"; found {length}"))
        upload = _is_upload(scope)
        if refused is None and upload and self.waiting >= MOST_WAITING:  # before the form is written to disk
            refused = failure(503, f"{self.waiting} uploads wait already. Ask again in a moment.", {"Retry-After": "2"})
        if refused is not None:
            try:
                await body.drain()
            except HTTPException:
                refused.headers["Connection"] = "close"  # the rest of the body is not waited for
            await refused(scope, receive, send)
            return
        self._count(upload)
        try:
            await self.app(scope, body.receive, send)
        finally:
            self._count(-upload)

    def _count(self, more: int) -> None:
        self.waiting += more
        self.uploads(self.waiting)

    def _refused(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        path = scope["path"]
        if self.limits.token and path not in OPEN:
            kind, _, word = headers.get("authorization", "").partition(" ")
            right = hmac.compare_digest(word.strip().encode(), self.limits.token.encode())
            if kind.lower() != "bearer" or not right:
                found = "another token" if word else "none"
                text = f"this service wants a token; expected the header Authorization: Bearer TOKEN; found {found}"
                return failure(401, text, {"WWW-Authenticate": "Bearer"})
        if self.rate is not None and _is_upload(scope):
            client = scope.get("client")
            wait = self.rate.wait(client[0] if client else "")
            if wait:
                text = f"too many requests; expected {self.limits.rate:g} a minute at most. Ask again in {wait:.0f} s."
                return failure(429, text, {"Retry-After": str(int(wait) + 1)})
        return None


def _is_upload(scope: Scope) -> bool:
    return bool(scope["path"] == "/predict" and scope["method"] == "POST")


class _Body:
    """The body of a request, which is counted and timed while it is read.

    Args:
        receive: gives its pieces.
        largest: bytes of an upload.
    """

    def __init__(self, receive: Receive, largest: int) -> None:
        self._receive, self.most = receive, largest + ENVELOPE
        self.largest, self.count, self.ended = largest, 0, False
        self._until = time.monotonic() + BODY_SECONDS

    def too_large(self, found: str = "") -> str:
        """The error of an upload beyond the limit; `found`: its size, where the request states it."""
        expected = f"expected {self.largest} bytes at most{found}"
        return f"the upload is too large; {expected}. Cut it, or write it as flac or mp3."

    async def receive(self) -> Message:
        """Give the next piece.

        Raises:
            HTTPException: the body is larger than the limit, or does not come.
        """
        if self.ended:
            return await self._receive()  # the application waits for the client's leaving
        message = await self._next()
        if self.count > self.most:
            await self.drain()
            raise HTTPException(413, self.too_large())
        return message

    async def drain(self) -> None:
        """Read on, not for ever: a client that still sends would not see the answer."""
        until = self.count + DRAINED * self.most
        while not self.ended and self.count < until:
            await self._next()

    async def _next(self) -> Message:
        left = self._until - time.monotonic()
        late = f"the request did not come to its end; expected all of it in {BODY_SECONDS:g} s. Send a smaller file."
        if left <= 0:
            raise HTTPException(408, late, {"Connection": "close"})
        try:
            message = await asyncio.wait_for(self._receive(), min(UPLOAD_SECONDS, left))
        except asyncio.TimeoutError:
            text = f"nothing came of the request for {UPLOAD_SECONDS:g} s; expected its body. Send it again."
            text = late if left < UPLOAD_SECONDS else text
            raise HTTPException(408, text, {"Connection": "close"}) from None
        self.count += len(message.get("body", b""))
        self.ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message


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
