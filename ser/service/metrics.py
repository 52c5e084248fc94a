"""Counts of the service in Prometheus's text format."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ROWS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counts of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter("ser_requests", "Requests.", ["path", "status"], registry=self.registry)
        self.seconds = Histogram("ser_request_seconds", "Time of a request.", ["path"], buckets=SECONDS, registry=self.registry)
        self.batches = Histogram(
            "ser_batch_recordings", "Recordings or windows that were answered together.", buckets=ROWS, registry=self.registry
        )
        self.waiting = Gauge(
            "ser_predictions_waiting", "Uploads that come in or wait for their answer.", registry=self.registry
        )

    def seen(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)
