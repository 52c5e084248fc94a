"""One thread that answers all requests: it takes what waits for one head together, in the product's exact batches."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from ser.errors import ConfigError, SerError
from ser.predict.inputs import Inputs
from ser.predict.judge import Answer
from ser.predict.predictions import Heard
from ser.predict.predictor import Predictor

MOST = 32  # recordings or windows that are answered together
WAIT = 0.005  # s that the first of them waits for others
ANSWER_SECONDS = 600.0  # s in which an answer must have come


class ServiceEndsError(SerError):
    """The service was told to end, and takes no more questions."""


@dataclass(frozen=True, eq=False)
class _Job:
    model: str
    inputs: Inputs
    answer: Future[Answer]


class Batcher:
    """A thread that answers inputs of several heads, in the order in which they come.

    What a request gets does not depend on those beside it: it is `Predictor.judge` of its inputs, to the last bit.

    Args:
        predictors: the heads by name.
        note: called with the number of recordings of each batch.
    """

    def __init__(self, predictors: Mapping[str, Predictor], note: Callable[[int], None] = lambda _: None) -> None:
        self.predictors, self.note = predictors, note
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = threading.Lock()
        self._open = True
        self._thread = threading.Thread(target=self._work, name="ser-inference", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def ask(self, model: str, inputs: Inputs) -> Future[Answer]:
        """Put inputs into the queue.

        Returns:
            The answer that will come; see `Predictor.judge`.

        Raises:
            ServiceEndsError: it was told to end.
        """
        job = _Job(model, inputs, Future())
        with self._closed:
            if not self._open:
                raise ServiceEndsError("the service ends", action="Ask again when it has started.")
            self._jobs.put(job)
        return job.answer

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        with self._closed:
            self._open = False
            self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        last = False
        while not last:
            first = self._jobs.get()
            if first is None:
                return
            jobs, last = self._others(first)
            for model in dict.fromkeys(job.model for job in jobs):
                own = [job for job in jobs if job.model == model]
                self.note(sum(len(job.inputs) for job in own))
                self._answer(self.predictors[model], own)

    def _others(self, first: _Job) -> tuple[list[_Job], bool]:
        """Take the jobs that wait, or come in a moment, up to `MOST` recordings; true where the queue was closed."""
        jobs, count, until = [first], len(first.inputs), time.monotonic() + WAIT
        while count < MOST:
            try:
                job = self._jobs.get(timeout=max(until - time.monotonic(), 0))
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
            count += len(job.inputs)
        return jobs, False

    def _answer(self, predictor: Predictor, jobs: list[_Job]) -> None:
        """Answer jobs together; where that fails, each by itself, so that one cannot spoil the others."""
        try:
            answers = predictor.judge_together([job.inputs for job in jobs])
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].answer.set_exception(error)
                return
            for job in jobs:
                self._answer(predictor, [job])
            return
        for job, answer in zip(jobs, answers, strict=True):
            job.answer.set_result(answer)


class QueuedPredictor(Predictor):
    """A head whose answers come by way of a `Batcher`, for `ser.predict.timeline.Timeline`.

    Args:
        batcher: the thread.
        model: the name of one of its heads.
        say: called with each line that the user should see.
        most: windows that are answered.
    """

    def __init__(self, batcher: Batcher, model: str, say: Callable[[str], None], most: int) -> None:
        self.__dict__.update(vars(batcher.predictors[model]))
        self.batcher, self.model, self.say, self.most, self.count = batcher, model, say, most, 0

    def judge(self, inputs: Inputs, heard: dict[int, Heard] | None = None) -> Answer:
        self.count += len(inputs)
        if self.count > self.most:
            raise ConfigError(
                "the recording has too many windows", expected=f"{self.most} at most", action="Take a larger hop."
            )
        return self.batcher.ask(self.model, inputs).result(ANSWER_SECONDS)
