"""The pipeline of an extraction: threads decode and encode chunks, and the outcomes come in order.

Each thread takes a chunk, decodes it and gives it to every encoder that wants it; while one computes, others decode and
the caller writes. On a CPU an encoder computes in as many threads as there are jobs, one intra-op thread each: two
teams of OpenMP threads on the same cores cost several times the processor time. On a GPU two threads at a time may
compute, each on a stream of its own, so that one's copies go on behind the other's kernels; on Apple's only one may.
Signal processing, which Python threads would not speed up, is sent to worker processes.
"""

import os
import pickle
import queue
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from ser.errors import SerError
from ser.extract.encoder import Encoder
from ser.extract.encoding import Decoded, Inputs, Outcome, encode, gather, work
from ser.extract.utterances import Item
from ser.workers.processes import end_with_parent, signals_blocked

MOST_THREADS = 8  # beyond this, Python's lock is the limit: each computes with several intra-op threads then
GPU_THREADS = 2


@dataclass(frozen=True, eq=False)
class Chunk:
    """One chunk.

    Attributes:
        items: its utterances.
        wanted: of each encoder, the ids it is to encode.
    """

    items: Sequence[Item]
    wanted: dict[str, set[str]]


class Pipeline:
    """Runs tasks; a context manager.

    Args:
        encoders: loaded; by name.
        sources: SHA-256 of each utterance's source, for each encoder.
        jobs: threads, and processes.
    """

    def __init__(self, encoders: Sequence[Encoder], sources: dict[str, dict[str, bytes]], jobs: int) -> None:
        self.encoders = {e.name: e for e in encoders}
        self.sources = sources
        self.jobs = jobs
        self.stop = threading.Event()
        self.spread = jobs > 1 and any(e.processes for e in encoders)
        gpu = [e for e in encoders if e.device != "cpu"]
        self.threads = min(jobs, MOST_THREADS)
        if self.spread:
            self.threads = max(self.threads, jobs + 1)
        if gpu:
            self.threads = max(self.threads, GPU_THREADS + min(MOST_THREADS, os.cpu_count() or 1))
        self.slots: dict[str, queue.Queue[Any]] = {device: _slots(device) for device in {e.device for e in gpu}}
        self.pickled = {e.name: pickle.dumps(e) for e in encoders if e.processes} if self.spread else {}
        self.workers = _workers(jobs) if self.spread else None

    def run(self, tasks: Sequence[Chunk]) -> Generator[dict[str, Outcome], None, None]:
        """The outcome of each task for each encoder, in the order of the tasks.

        Raises:
            SerError: a worker process was killed.
            KeyboardInterrupt: after the outcomes of the finished parts of the present chunks.
        """
        pending: deque[Future[tuple[dict[str, Outcome], BaseException | None]]] = deque()
        waiting = iter(tasks)
        with intra_op(max(1, self.jobs // min(self.jobs, MOST_THREADS))), ThreadPoolExecutor(self.threads) as pool:
            try:
                while True:
                    while len(pending) < 2 * self.threads and (task := next(waiting, None)) is not None:
                        pending.append(pool.submit(self._task, task))
                    if not pending:
                        return
                    outcomes, error = pending[0].result()
                    pending.popleft()
                    yield outcomes
                    if error is not None:
                        raise error
            except GeneratorExit:
                raise
            except BaseException:
                self.stop.set()
                yield from _rest(pending)
                raise
            finally:
                self.stop.set()
                for future in pending:
                    future.cancel()
                if self.workers is not None:
                    with suppress(Exception):  # results of pending chunks are not wanted any more
                        self.workers.shutdown(wait=bool(pending), kill_workers=bool(pending))

    def _task(self, task: Chunk) -> tuple[dict[str, Outcome], BaseException | None]:
        """A chunk's outcomes as far as they came, and the error that stopped it, if one did."""
        outcomes = {name: Outcome() for name in task.wanted}
        decoded = Decoded()
        try:
            for name, outcome in outcomes.items():
                chosen = [item for item in task.items if item.id in task.wanted[name]]
                if not self.stop.is_set():
                    self._encode(self.encoders[name], chosen, decoded, outcome)
        except BaseException as error:
            return outcomes, _explained(error, list(task.wanted))
        return outcomes, None

    def _encode(self, encoder: Encoder, items: list[Item], decoded: Decoded, outcome: Outcome) -> None:
        inputs = gather(encoder, items, decoded, outcome)
        sources = self.sources[encoder.name]
        if encoder.name in self.pickled:
            self._send(encoder, inputs, {i.id: sources[i.id] for i, _ in inputs}, outcome)
            return
        with self._slot(encoder.device):
            encode(encoder, inputs, sources, outcome, self.stop.is_set)

    def _send(self, encoder: Encoder, inputs: Inputs, sources: dict[str, bytes], outcome: Outcome) -> None:
        """Have a worker process encode."""
        assert self.workers is not None
        with _STARTING, signals_blocked():
            future = self.workers.submit(work, self.pickled[encoder.name], inputs, sources)
        done: Outcome = future.result()
        outcome.records += done.records
        outcome.failures += done.failures

    @contextmanager
    def _slot(self, device: str) -> Iterator[None]:
        """Wait for permission to compute on a device: on a GPU, one of its streams."""
        if device not in self.slots:
            yield
            return
        stream = self.slots[device].get()
        try:
            with nullcontext() if stream is None else sys.modules["torch"].cuda.stream(stream):
                yield
        finally:
            self.slots[device].put(stream)


_STARTING = threading.Lock()


def _workers(jobs: int) -> Any:
    """Worker processes with one thread each, which start with the first work.

    Not loky's reusable ones: joblib takes those for its own where it finds some, and then lacks what it would have added.
    """
    from joblib.externals.loky import ProcessPoolExecutor

    single = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return ProcessPoolExecutor(jobs, env=single, timeout=60, initializer=end_with_parent, initargs=(os.getpid(),))


def _slots(device: str) -> "queue.Queue[Any]":
    """The streams of a GPU; one place for Apple's, which two threads at once would crash."""
    slots: queue.Queue[Any] = queue.Queue()
    torch = sys.modules["torch"]
    if not device.startswith("cuda"):
        slots.put(None)
        return slots
    for _ in range(GPU_THREADS):
        slots.put(torch.cuda.Stream(device))
    torch.cuda.synchronize(device)  # the weights, which came on another stream, are there
    return slots


@contextmanager
def intra_op(threads: int) -> Iterator[None]:
    """Give torch this number of threads per operation, within the block."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _rest(pending: "deque[Future[tuple[dict[str, Outcome], BaseException | None]]]") -> Iterator[dict[str, Outcome]]:
    """The outcomes of the chunks that were begun, as far as they came."""
    begun = [future for future in pending if not future.cancel()]
    pending.clear()
    for future in begun:
        yield future.result()[0]


def _explained(error: BaseException, names: list[str]) -> BaseException:
    from concurrent.futures.process import BrokenProcessPool

    if not isinstance(error, BrokenProcessPool):
        return error
    return SerError(
        f"{', '.join(names)}: a worker process was ended from outside, perhaps because memory ran out",
        found=str(error).split("\n")[0],
        action="What was done is kept; give the same command again, with fewer --jobs.",
    )
