"""The service as a process: heads are loaded and tried, then uvicorn answers until it is told to end."""

import ctypes
import ipaddress
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser.errors import ConfigError, UnusableError
from ser.optional import absent
from ser.predict.head_encoders import refuse_unused
from ser.predict.judge import stores_read
from ser.predict.predictor import Predictor
from ser.predict.turns import WINDOW, Diarizer
from ser.predict.windows import RATE, SpeechDetector
from ser.results.records.find import find_heads
from ser.service.limits import ServiceLimits

_M_ARENA_MAX = -8  # of mallopt, in malloc.h
PATIENCE = 30  # s that requests have to end in, when the service is told to end


@dataclass(frozen=True)
class Address:
    """The place of the service.

    Attributes:
        host, port: of the socket; port 0 takes a free one.
        proxies: addresses whose X-Forwarded-For is believed.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    proxies: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def load_predictors(
    models: Sequence[str],
    results: Path,
    weights: Path | None,
    device: str,
    encoders: Mapping[str, str],
    say: Callable[[str], None],
) -> dict[str, Predictor]:
    """Load heads, and let each answer once: what it lacks shows now, and the first request does not wait.

    Args:
        models: experiments or files of heads, as of `ser predict --model`.
        results: the folder of the experiments.
        weights, device, say: as of `Predictor`.
        encoders: likewise; each is of a store that one of the models reads at least.

    Returns:
        The heads by name: of an experiment its own, of a file `EXPERIMENT/FILE`, in the current folder `FILE`.

    Raises:
        ConfigError: there is no such head, or it is named twice; or no head reads a store of `encoders`.
    """
    found: dict[str, Predictor] = {}
    heads = [find_heads(model, results) for model in models]
    read = [stores_read(files) if encoders else [] for files in heads]
    refuse_unused(encoders, [store for stores in read for store in stores])
    for model, files, stores in zip(models, heads, read, strict=True):
        moved = {store: name for store, name in encoders.items() if store in stores}
        predictor = Predictor(files, weights=weights, device=device, encoders=moved, say=say)
        first = predictor.files[0]
        own, folder = first.name.removesuffix(".safetensors"), first.parent
        if not Path(model).is_file() or model.endswith(".json"):
            name = folder.resolve().name
        else:
            name = f"{folder.resolve().name}/{own}" if folder.name else own
        name = model if name in found else name  # of two folders with one name
        if name in found:
            raise ConfigError(f"--model {model}: {name} is there twice", expected="each head once")
        predictor.say = lambda _: None
        predictor.predict((np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32), 16000))
        found[name] = predictor
    return found


def load_diarizer(encoder: str, weights: Path | None, device: str, say: Callable[[str], None]) -> Diarizer:
    """Load what tells speakers apart, and let it hear once: what it lacks shows now.

    Args:
        encoder: the name or folder of the encoder of speakers.
        weights, device, say: as of `Predictor`.

    Raises:
        ConfigError: the detector of speech is not installed.
        EncoderError: weights or a package of the encoder are missing.
    """
    SpeechDetector("silero", RATE, RATE)
    found = Diarizer(encoder, 1, weights, device, say)  # each request says how many speakers there are
    found.encoder.encode([np.zeros(round(WINDOW * found.encoder.sample_rate), dtype=np.float32)])
    return found


def serve(
    predictors: Mapping[str, Predictor],
    limits: ServiceLimits,
    address: Address,
    say: Callable[[str], None],
    *,
    diarizer: Diarizer | None = None,
    quiet: bool = False,
) -> None:
    """Answer requests until the process gets SIGINT or SIGTERM; then those that are there are answered.

    Args:
        predictors: heads by name.
        limits: of uploads and clients.
        address: of the socket.
        say: called with each line that a user should see.
        diarizer: tells speakers apart; None where that is not offered.
        quiet: no line for each request.

    Raises:
        ConfigError: packages are missing, or the address is not available.
    """
    try:
        import uvicorn

        from ser.service.application import application
        from ser.service.guard import Connection
    except ImportError as error:
        raise absent(str(error.name), "serve", "ser serve") from None
    if not address.is_local and not limits.token:
        say(f"warning: {address.host} may be reached by others, and no token is asked for: --token WORD, or SER_TOKEN")
    _share_memory()
    config = uvicorn.Config(
        application(predictors, limits, diarizer),
        host=address.host,
        port=address.port,
        http=Connection,
        log_level="warning" if quiet else "info",
        proxy_headers=bool(address.proxies),
        forwarded_allow_ips=list(address.proxies),
        server_header=False,
        timeout_graceful_shutdown=PATIENCE,
        timeout_keep_alive=20,
    )
    try:
        socket = config.bind_socket()
    except SystemExit:
        raise UnusableError(
            f"cannot listen on {address.host}, port {address.port}",
            expected="an address of this computer, and a port that is free",
            action="Take another: --port 8001.",
        ) from None
    counts = {name: predictor.averaged for name, predictor in predictors.items()}
    said = [f"{name} ({count} {'head' if count == 1 else 'heads'})" for name, count in counts.items()]
    say(f"answers by {', '.join(said)}")
    with _signals_end_quietly():
        uvicorn.Server(config).run(sockets=[socket])


def _share_memory() -> None:
    """Let all threads allocate where the first one does, where the C library is glibc.

    It gives the memory of other threads back to the system after each answer, and asks for it again: with Whisper a quarter of
    the time of an answer.
    """
    with suppress(OSError, AttributeError, TypeError):  # TypeError: of Windows, where a library must be named
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """uvicorn ends well at a signal, then sends it to the process again, for whom it was an end before its time."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
