"""Parts of a piece of work as a job array of SLURM, by submitit; one last job puts them together.

submitit writes the scripts and the logs, keeps the results, and puts a job that was preempted, or whose time is over, into the
queue again. The command that submitted them only watches: given again, it watches the same jobs, and where they have ended
submits new ones, which go on from what is recorded.
"""

import fcntl
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ser.errors import ConfigError, SerError, UnusableError
from ser.files import why
from ser.jsonfile import write_json
from ser.optional import absent
from ser.workers.processes import signals_blocked
from ser.workers.sbatch import Allocation, log_pattern

T = TypeVar("T")
Say = Callable[[str], None]
FOLDER = ".slurm"
JOBS = "jobs.json"
POLL_SECONDS = 5.0
FAILURES = 120  # times in a row that squeue cannot be asked, ten minutes or more, before the watching ends
LINE_SECONDS = 15.0  # between two lines of progress, where they are not written over each other
RESULT_SECONDS = 15.0  # for a result that another machine wrote to be seen here
WARNING_SECONDS = 90  # before the time limit, for a part to go back into the queue
TIMES = 10  # that a part goes back into the queue as its time is over


class Again:
    """A call that submitit starts again after it was preempted or its time was over: it goes on from what is recorded."""

    def checkpoint(self) -> Any:
        """Have submitit start this again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass(frozen=True)
class Work(Generic[T]):
    """The work of some jobs.

    Attributes:
        parts: of an array; calls that go on from what they recorded, as `Again`.
        whole: the last job's call, after all parts.
        folder: for the jobs' logs and results; the same work has the same.
        label: of messages.
        last: the last job, in messages.
    """

    parts: Sequence[Callable[[], Any]]
    whole: Callable[[], T]
    folder: Path
    label: str
    last: str = "the last job"


@dataclass(frozen=True)
class Jobs:
    """Submitted jobs: of the parts in their order, and the last one; the folder has their logs and results."""

    parts: list[str]
    last: str
    folder: Path

    def result(self, job: str) -> Path:
        """The file of a job's result."""
        return self.folder / f"{job}_0_result.pkl"

    def log(self, job: str) -> Path:
        """The file of what a job printed."""
        return self.folder / f"{job}_0_log.out"


@dataclass(frozen=True)
class Last(Again, Generic[T]):
    """The last job: it does the whole, unless a part has died."""

    whole: Callable[[], T]
    results: list[Path]

    def __call__(self) -> T:
        """Do the whole: it finds what the parts recorded."""
        until = time.monotonic() + RESULT_SECONDS
        died = sum(_outcome(path, until)[0] != "success" for path in self.results)
        if died:
            raise SerError(f"{died} of {len(self.results)} parts died: they are not put together")
        return self.whole()


def run(work: Work[T], allocation: Allocation, quiet: bool, say: Say, made: Callable[[], str] = lambda: "") -> T:
    """Submit the jobs, or find those of an earlier call, and watch them until the last has ended.

    Args:
        made: says, after the jobs, how far the work is.

    Returns:
        The result of the whole.

    Raises:
        ConfigError: SLURM or submitit is not there, or SLURM refuses the jobs.
        SerError: a part died: which one, why, and where its log is.
    """
    with _alone(work):
        jobs = _earlier(work.folder)
        if jobs is not None:
            say(f"{work.label}: jobs {_numbers(jobs)} of this command are there already")
        else:
            with signals_blocked():  # an interrupt would leave jobs that the next call does not know
                jobs = submit(work, allocation)
            say(f"{work.label}: jobs {_numbers(jobs)} are submitted; their logs are in {work.folder}")
    try:
        _watch(jobs, work.label, quiet, say, made)
    except KeyboardInterrupt:
        say(f"the jobs go on. The same command watches them again; scancel {_numbers(jobs)} ends them.")
        raise
    return _ended(jobs, work, say)


@contextmanager
def _alone(work: Work[Any]) -> Iterator[None]:
    """Let one of several equal calls look for jobs and submit them, on whichever machine they are."""
    path = work.folder.with_name(f"{work.folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as lock:  # the kernel frees it when this process ends, however it does
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = path.stat().st_ino == os.fstat(lock.fileno()).st_ino
        except (BlockingIOError, FileNotFoundError):  # another has it, or had it and has removed it
            free = False
        except OSError as error:
            raise SerError(
                f"the file system of {path.parent} has no file locks",
                found=why(error),
                action="Choose a folder on another disk with --workspace.",
            ) from None
        if not free:
            raise SerError(
                f"{work.label}: the same command submits its jobs just now",
                action="Give it again in a minute, and it watches those.",
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def submit(work: Work[Any], allocation: Allocation) -> Jobs:
    """Submit the array, and the last job."""
    try:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError
    except ImportError:
        raise absent("submitit", "slurm", "SLURM", note=", or --print.") from None
    options: dict[str, Any] = {
        "job_name": allocation.name,
        "time": allocation.minutes,
        "cpus_per_task": allocation.cores,
        "partition": allocation.partition,
        "signal_delay_s": WARNING_SECONDS,
        "stderr_to_stdout": True,
    }
    if log_pattern(work.folder) != str(work.folder):
        raise ConfigError(
            f"{work.folder} cannot have the logs of SLURM: a % is in its name", action="Choose another workspace."
        )
    more = {"requeue": True, **allocation.further}
    shutil.rmtree(work.folder, ignore_errors=True)
    try:
        executor = submitit.SlurmExecutor(work.folder, max_num_timeout=TIMES)
        submitted: list[Any] = []
        if work.parts:
            executor.update_parameters(
                **options, array_parallelism=allocation.at_once or len(work.parts), additional_parameters=more
            )
            with executor.batch():
                submitted = [executor.submit(part) for part in work.parts]
            _keep(Jobs([job.job_id for job in submitted], "", work.folder))
            more = {**more, "dependency": f"afterany:{submitted[0].job_id.partition('_')[0]}"}
        executor.update_parameters(**options, additional_parameters=more)
        last = executor.submit(Last(work.whole, [job.paths.result_pickle for job in submitted])).job_id
    except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
        found = _last_line(str(error))
        there = "configuration source" not in found and "contact" not in found  # else no controller answers
        raise UnusableError(
            "SLURM refuses the jobs" if there else "SLURM does not answer here",
            found=found,
            action="Correct --partition, --time or --sbatch."
            if there
            else "Give the command on a machine of the cluster, or --print.",
        ) from None
    except RuntimeError:
        raise UnusableError(
            "SLURM: there is no srun here", action="Give the command on a machine of the cluster, or --print."
        ) from None
    jobs = Jobs([job.job_id for job in submitted], last, work.folder)
    _keep(jobs)
    return jobs


def _keep(jobs: Jobs) -> None:
    write_json(jobs.folder / JOBS, {"parts": jobs.parts, "merge": jobs.last})


def _earlier(folder: Path) -> Jobs | None:
    """The jobs of an earlier call that SLURM still has; None where it says that they have ended.

    Raises:
        SerError: SLURM does not say whether they have ended: new ones would remove what those that run need; or the call
            was ended before it had submitted the last one.
    """
    path = folder / JOBS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        jobs = Jobs(content["parts"], content["merge"], folder)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise SerError(
            f"{path} is damaged",
            expected="the numbers of the jobs of this command",
            action=f"End them with scancel if they are still in squeue, then remove {folder} and give the command again.",
        ) from None
    states = _states(jobs)
    if states is None:
        raise SerError(
            f"SLURM does not answer: whether the jobs {_numbers(jobs)} of this command have ended is not known",
            expected="an answer of squeue",
            action=f"Nothing was submitted. Try squeue by hand, and when it answers give the same command again; or, if the "
            f"jobs have ended, remove {folder}.",
        )
    if states and not jobs.last:
        raise SerError(
            f"a command was ended while it submitted, and its jobs {_numbers(jobs)} have no last one that puts them together",
            action=f"scancel {_numbers(jobs)}; then give the same command again. What they recorded is kept.",
        )
    return jobs if states else None


def _numbers(jobs: Jobs) -> str:
    return " ".join(filter(None, [*(job.partition("_")[0] for job in jobs.parts[:1]), jobs.last]))


def _states(jobs: Jobs) -> dict[str, str] | None:
    """The state of each job that SLURM has not ended; None where it cannot be asked.

    `squeue` is asked, not `sacct`: not every cluster keeps accounts.
    """
    words = ["squeue", "--noheader", "--array", "--format=%i %T", f"--jobs={_numbers(jobs).replace(' ', ',')}"]
    try:
        asked = subprocess.run(words, capture_output=True, text=True, timeout=60)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    if asked.returncode:
        return {} if "Invalid job id" in asked.stderr else None
    return {job: state for job, _, state in (line.partition(" ") for line in asked.stdout.splitlines())}


def _watch(jobs: Jobs, label: str, quiet: bool, say: Say, made: Callable[[], str]) -> None:
    """Wait until SLURM has ended the jobs; say how far they are in one line, and each part that died."""
    failures = 0
    said, when, gone, died = "", 0.0, set[str](), set[str]()
    clear = "\r\033[K" if sys.stderr.isatty() else ""
    while True:
        states = _states(jobs)
        if states is not None and jobs.last not in states:
            break
        failures = failures + 1 if states is None else 0
        if failures >= FAILURES:
            raise SerError(
                f"{label}: SLURM does not answer",
                expected="an answer of squeue",
                found=f"none in {failures} attempts",
                action=f"The jobs {_numbers(jobs)} go on; when squeue answers, the same command watches them again.",
            )
        line = f"{label}: SLURM does not answer; its jobs go on"
        if states is not None:
            line = "; ".join(filter(None, (f"{label}: {summary(jobs, states)}", made())))
            before, gone = gone, {job for job in jobs.parts if job not in states and not jobs.result(job).exists()}
            for job in sorted((gone & before) - died):
                died.add(job)
                say(f"{clear}{label}: part {jobs.parts.index(job)} of {len(jobs.parts)} died; its log is {jobs.log(job)}")
        if clear and not quiet:
            print(f"{clear}{line}", end="", file=sys.stderr, flush=True)
        elif not quiet and line != said and time.monotonic() - when >= LINE_SECONDS:
            said, when = line, time.monotonic()
            print(line, file=sys.stderr, flush=True)
        time.sleep(POLL_SECONDS)
    if clear and not quiet:
        print(clear, end="", file=sys.stderr, flush=True)


def summary(jobs: Jobs, states: dict[str, str]) -> str:
    """The progress of the parts, or of the only job."""
    found = [states.get(job, "ENDED") for job in jobs.parts or [jobs.last]]
    waiting = sum(state in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED") for state in found)
    ended = found.count("ENDED")
    if not jobs.parts:
        return "waiting" if waiting else "running"
    merging = ", merging" if states.get(jobs.last) == "RUNNING" else ""
    return f"{len(found)} parts: {len(found) - waiting - ended} running, {waiting} waiting, {ended} ended{merging}"


def _outcome(path: Path, until: float) -> tuple[str, Any]:
    """`success` and the result of a job, `error` and a traceback, or nothing where there is none by then."""
    while not path.exists():
        if time.monotonic() > until:
            return "", None
        time.sleep(0.5)
    outcome, result = pickle.loads(path.read_bytes())
    return str(outcome), result


def _ended(jobs: Jobs, work: Work[T], say: Say) -> T:
    """The result of the last job.

    Raises:
        SerError: a part died, or the last job; or an equal call, which watched too, has removed the results.
    """
    if not jobs.folder.exists():
        raise SerError(
            f"{work.label}: the jobs have ended, and the same command, given a second time, has had their result",
            action="Look there; or give it again, which does only what is missing.",
        )
    died: list[tuple[str, str, Path]] = []
    until = time.monotonic() + RESULT_SECONDS
    for number, job in enumerate([*jobs.parts, jobs.last]):
        name = f"part {number} of {len(jobs.parts)}" if number < len(jobs.parts) else work.last
        outcome, result = _outcome(jobs.result(job), until)
        if outcome == "success" or (died and job == jobs.last):
            continue
        log = jobs.log(job)
        text = str(result) if outcome else log.read_text(errors="replace") if log.exists() else ""
        died.append((name, _last_line(text) or "it left no log: was it cancelled?", log))
    if not died:
        whole: T = result
        shutil.rmtree(jobs.folder, ignore_errors=True)
        return whole
    for name, reason, log in died[1:]:
        say(f"{work.label}: {name} died: {reason} (log: {log})")
    name, reason, log = died[0]
    raise SerError(
        f"{work.label}: {name} died" + (f", and {len(died) - 1} more" if died[1:] else ""),
        found=reason,
        action=f"Its log is {log}. What was done is kept; give the same command again.",
    )


def _last_line(text: str) -> str:
    """The last line of a log or a traceback, without the name of the error's class."""
    lines = [line.strip() for line in text.splitlines() if line.strip().strip("-")]
    return re.sub(r"^(ser\.errors\.)?\w+Error: ", "", lines[-1])[:300] if lines else ""
