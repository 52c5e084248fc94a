"""The limits of the service: sizes, lengths, clients and their rate."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from ser.errors import ConfigError

MOST_CLIENTS = 10_000  # that the rate is counted of


@dataclass(frozen=True)
class ServiceLimits:
    """Limits of what the service accepts, and from whom.

    Attributes:
        bytes: of an upload.
        seconds: of a recording.
        rate: predictions per minute and client; 0 is any number.
        token: the word that a client must know; "" is none.
        cors: origins whose pages may ask, as `https://example.org`; () is none but the service's own page.
    """

    bytes: int = 32 * 2**20
    seconds: float = 300.0
    rate: float = 0.0
    token: str = ""
    cors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.token and not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise ConfigError("--token", expected="ASCII letters, digits and signs, without blanks")
        for origin in self.cors:
            scheme, found, host = origin.partition("://")
            if origin != "*" and not (found and scheme in ("http", "https") and host and "/" not in host):
                raise ConfigError("--cors", expected="an origin, as https://example.org, or * for all", found=repr(origin))


class Rate:
    """A bucket of tokens for each client: as many requests as in a minute at once, then at the rate.

    Args:
        per_minute: requests.
        clock: gives s.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second, self.most, self.clock = per_minute / 60, max(per_minute, 1.0), clock
        self.buckets: dict[str, tuple[float, float]] = {}  # tokens left, and when

    def wait(self, client: str) -> float:
        """Count a request.

        Returns:
            0 where it is within the rate; else the s after which the next one is.
        """
        now = self.clock()
        left, when = self.buckets.pop(client, (self.most, now))
        left = min(left + (now - when) * self.per_second, self.most)
        wait = 0.0 if left >= 1 else (1 - left) / self.per_second
        self.buckets[client] = (left if wait else left - 1, now)
        while len(self.buckets) > MOST_CLIENTS:
            del self.buckets[next(iter(self.buckets))]  # the one that was not seen for longest
        return wait
