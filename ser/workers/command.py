"""A command of `ser` as a call, which a job of SLURM makes."""

import shlex
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, NamedTuple, TextIO

from ser.errors import SerError
from ser.workers.processes import stop_signals
from ser.workers.slurm import Again

SOME_FAILED = 3  # the exit code of a command that is done, but for some items


class Ended(NamedTuple):
    """The end of a command: its exit code, its output, and the lines of its standard error."""

    code: int
    output: str
    errors: list[str]


@dataclass(frozen=True)
class SerCommand(Again):
    """A command line, without `ser`.

    The command ends with the job, not before it: SLURM sends signals to all processes of a job, and the one that watches the
    command is to say whether the job goes back into the queue.
    """

    words: tuple[str, ...]

    def __call__(self) -> Ended:
        """Give the command; what it prints is printed too, and returned.

        Raises:
            SerError: it could not be done.
        """
        ended = _given([sys.executable, "-m", "ser", *self.words])
        if ended.code not in (0, SOME_FAILED):
            reason = next((line.strip() for line in reversed(ended.errors) if line.strip()), None)
            raise SerError(f"{shlex.join(['ser', *self.words])} ended with exit code {ended.code}", found=reason)
        return ended


def _given(words: list[str]) -> Ended:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [*stop_signals(), signal.SIGUSR1, signal.SIGUSR2])
    try:
        child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with ThreadPoolExecutor(1) as other:
        try:
            errors = other.submit(_copied, child.stderr, sys.stderr)
            said = _copied(child.stdout, sys.stdout)
            return Ended(child.wait(), "".join(said), errors.result())
        finally:  # this job goes back into the queue
            child.kill()
            child.wait()


def _copied(stream: IO[str] | None, onto: TextIO) -> list[str]:
    """Write what comes onto another stream, and return its lines."""
    assert stream is not None
    lines = []
    for line in stream:
        onto.write(line)
        onto.flush()
        lines.append(line)
    return lines
