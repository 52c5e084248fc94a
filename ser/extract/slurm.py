"""The parts of an extraction as a job array of SLURM, by submitit; one last job merges.

submitit writes the scripts and the logs, keeps the results, and puts a job that was preempted, or whose time is over, into the
queue again. The command that submitted them only watches: given again, it watches the same jobs, and where they have ended
submits new ones, which go on from what is stored.
"""

import hashlib
import json
import pickle
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ser.errors import ConfigError, SerError
from ser.extract.report import ExtractionReport
from ser.extract.spread import TIME, Part, Placement, parts
from ser.jsonfile import write_json
from ser.parallel import signals_blocked

Say = Callable[[str], None]
FOLDER = ".slurm"
JOBS = "jobs.json"
POLL_SECONDS = 5.0
FAILURES = 120  # times in a row that squeue cannot be asked, ten minutes or more, before the watching ends
LINE_SECONDS = 15.0  # between two lines of progress, where they are not written over each other
RESULT_SECONDS = 15.0  # for a result that another machine wrote to be seen here
WARNING_SECONDS = 90  # before the time limit, for a part to go back into the queue
TIMES = 10  # that a part goes back into the queue as its time is over


@dataclass(frozen=True)
class Jobs:
    """Submitted jobs: of the parts in their order, and the one that merges; the folder has their logs and results."""

    parts: list[str]
    merge: str
    folder: Path

    def result(self, job: str) -> Path:
        """The file of a job's result."""
        return self.folder / f"{job}_0_result.pkl"

    def log(self, job: str) -> Path:
        """The file of what a job printed."""
        return self.folder / f"{job}_0_log.out"


@dataclass(frozen=True)
class Merge:
    """The last job: it merges, unless a part has died."""

    whole: Part
    results: list[Path]

    def __call__(self) -> list[ExtractionReport]:
        """Merge, and try again what failed."""
        until = time.monotonic() + RESULT_SECONDS
        died = sum(_outcome(path, until)[0] != "success" for path in self.results)
        if died:
            raise SerError(f"{died} of {len(self.results)} parts died: nothing is merged")
        return self.whole()

    def checkpoint(self) -> Any:
        """Have submitit start this again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def run(whole: Part, placement: Placement, most: int, label: str, quiet: bool, say: Say) -> list[ExtractionReport]:
    """Submit the jobs, or find those of an earlier call, and watch them until the last has ended.

    Args:
        most: the number of utterances, of all encoders and views, for the line of progress.

    Raises:
        ConfigError: SLURM or submitit is not there, or SLURM refuses the jobs.
        SerError: a part died: which one, why, and where its log is.
    """
    root = whole.workspace.root.resolve()
    whole = replace(whole, quiet=False, workspace=replace(whole.workspace, root=root))
    key = repr((whole.dataset, whole.root, replace(whole.request, jobs=1)))
    folder = root / FOLDER / f"{whole.dataset}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    stored = _files(whole.workspace.features(whole.dataset))
    jobs = _earlier(folder)
    if jobs is not None:
        say(f"{label}: jobs {_numbers(jobs)} of this command are there already")
    else:
        with signals_blocked():  # an interrupt would leave jobs that the next call does not know
            jobs = submit(whole, placement, folder)
        say(f"{label}: jobs {_numbers(jobs)} are submitted; their logs are in {folder}")
    try:
        _watch(jobs, whole.workspace.features(whole.dataset), dict.fromkeys(stored, 0), most, label, quiet, say)
    except KeyboardInterrupt:
        say(f"the jobs go on. The same command watches them again; scancel {_numbers(jobs)} ends them.")
        raise
    return _ended(jobs, label, say)


def submit(whole: Part, placement: Placement, folder: Path) -> Jobs:
    """Submit the array, and the job that merges."""
    try:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError
    except ImportError:
        raise ConfigError("--backend slurm needs a package", action="pip install 'ser[slurm]', or --print.") from None
    shutil.rmtree(folder, ignore_errors=True)
    options: dict[str, Any] = {
        "job_name": "ser-extract",
        "time": minutes(placement.time or TIME),
        "cpus_per_task": whole.request.jobs,
        "partition": placement.partition,
        "signal_delay_s": WARNING_SECONDS,
        "stderr_to_stdout": True,
    }
    more = {"requeue": True, **further(placement.sbatch)}
    try:
        executor = submitit.SlurmExecutor(folder, max_num_timeout=TIMES)
        executor.update_parameters(
            **options, array_parallelism=placement.at_once or placement.parts, additional_parameters=more
        )
        with executor.batch():
            submitted = [executor.submit(part) for part in parts(whole, placement.parts)]
        names = [job.job_id for job in submitted]
        after = f"afterany:{names[0].partition('_')[0]}"
        executor.update_parameters(**options, additional_parameters={**more, "dependency": after})
        merge = executor.submit(Merge(whole, [job.paths.result_pickle for job in submitted])).job_id
    except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
        raise ConfigError(
            "SLURM refuses the jobs", found=_last(str(error)), action="Correct --partition, --time or --sbatch."
        ) from None
    except RuntimeError:
        raise ConfigError(
            "--backend slurm: there is no srun here", action="Give the command on a machine of the cluster, or --print."
        ) from None
    jobs = Jobs(names, merge, folder)
    write_json(folder / JOBS, {"parts": names, "merge": merge})
    return jobs


def minutes(text: str) -> int:
    """A time limit in minutes.

    >>> minutes("90"), minutes("1:30:00"), minutes("2-00:00:00")
    (90, 90, 2880)
    """
    found = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):(\d\d):(\d\d)|(\d+))", text)
    if found is None or not any(int(group or 0) for group in found.groups()):
        raise ConfigError(f"--time {text}", expected="minutes, or [DAYS-]HOURS:MINUTES:SECONDS", option="time")
    days, hours, mins, seconds, plain = (int(group or 0) for group in found.groups())
    return plain or (days * 24 + hours) * 60 + mins + (seconds > 0)


def further(words: Sequence[str]) -> dict[str, Any]:
    """Options of sbatch, of `KEY=VALUE` or `KEY`.

    >>> further(["--account=speech", "exclusive"])
    {'account': 'speech', 'exclusive': True}
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.lstrip("-").partition("=")
        if not re.fullmatch(r"[a-z][a-z-]*", name):
            raise ConfigError(f"--sbatch {word}", expected="KEY=VALUE, as account=speech", option="sbatch")
        found[name] = value if equals else True
    return found


def script(command: str, placement: Placement, cores: int, folder: Path) -> str:
    """A shell script that submits the same by `sbatch` alone.

    Args:
        command: of one process, without options of the parts.
        folder: for logs.
    """
    count = placement.parts
    lines = ["#!/bin/bash", "#SBATCH --job-name=ser-extract", f"#SBATCH --time={minutes(placement.time or TIME)}"]
    lines += [f"#SBATCH --cpus-per-task={cores}", "#SBATCH --requeue", "#SBATCH --open-mode=append"]
    lines += [f"#SBATCH --partition={placement.partition}"] if placement.partition else []
    for name, value in further(placement.sbatch).items():
        lines.append(f"#SBATCH --{name}" + ("" if value is True else f"={shlex.quote(value)}"))
    array = [f"#SBATCH --array=0-{count - 1}" + (f"%{placement.at_once}" if placement.at_once else "")]
    logs = shlex.quote(str(folder))
    return "\n".join(
        [
            "#!/bin/bash",
            f"# An extraction in {count} parts, and a last job that merges them. `bash` submits both.",
            f"mkdir -p {logs}",
            "array=$(sbatch --parsable << 'END'",
            *[*lines, *array, f"#SBATCH --output={folder}/%A_%a.log"],
            f"{command} --shard $SLURM_ARRAY_TASK_ID/{count}",
            "END",
            ")",
            "sbatch --dependency=afterok:${array%%;*} << 'END'",
            *[*lines, f"#SBATCH --output={folder}/%j.log"],
            command,
            "END",
        ]
    )


def _earlier(folder: Path) -> Jobs | None:
    """The jobs of an earlier call that SLURM still has; None where it says that they have ended.

    Raises:
        SerError: SLURM does not say whether they have ended: new ones would remove what those that run need.
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
    return jobs if states else None


def _numbers(jobs: Jobs) -> str:
    return f"{jobs.parts[0].partition('_')[0]} {jobs.merge}"


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


def _watch(jobs: Jobs, stores: Path, seen: dict[Path, int], most: int, label: str, quiet: bool, say: Say) -> None:
    """Wait until SLURM has ended the jobs; say how far they are in one line, and each part that died.

    Args:
        stores: the folder of the dataset's stores.
        seen: shards that were there before, with 0 rows each.

    Raises:
        SerError: SLURM does not answer for long.
    """
    failures = 0
    said, when, gone, died = "", 0.0, set[str](), set[str]()
    clear = "\r\033[K" if sys.stderr.isatty() else ""
    while True:
        states = _states(jobs)
        if states is not None and jobs.merge not in states:
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
            seen = _rows(stores, seen)
            line = f"{label}: {summary(jobs, states)}; {sum(seen.values())} of at most {most} utterances are made"
            before, gone = gone, {job for job in jobs.parts if job not in states and not jobs.result(job).exists()}
            for job in sorted((gone & before) - died):
                died.add(job)
                say(
                    f"{clear}{label}: part {jobs.parts.index(job)} of {len(jobs.parts)} died; its log is {jobs.log(job)}"
                )
        if clear and not quiet:
            print(f"{clear}{line}", end="", file=sys.stderr, flush=True)
        elif not quiet and line != said and time.monotonic() - when >= LINE_SECONDS:
            said, when = line, time.monotonic()
            print(line, file=sys.stderr, flush=True)
        time.sleep(POLL_SECONDS)
    if clear and not quiet:
        print(clear, end="", file=sys.stderr, flush=True)


def summary(jobs: Jobs, states: dict[str, str]) -> str:
    """The progress of the parts."""
    found = [states.get(job, "ENDED") for job in jobs.parts]
    waiting = sum(state in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED") for state in found)
    ended = found.count("ENDED")
    merging = ", merging" if states.get(jobs.merge) == "RUNNING" else ""
    return f"{len(found)} parts: {len(found) - waiting - ended} running, {waiting} waiting, {ended} ended{merging}"


def _files(stores: Path) -> list[Path]:
    return list(stores.glob("*.shards/[0-9]*.h5"))


def _rows(stores: Path, known: dict[Path, int]) -> dict[Path, int]:
    """The number of utterances in each shard of a dataset's stores; those that are known are not opened again."""
    import h5py

    found = dict(known)
    for path in _files(stores):
        if path not in found:
            try:
                with h5py.File(path, "r", locking=False) as file:
                    found[path] = len(file["utt_id"])
            except OSError:  # merged meanwhile
                continue
    return found


def _outcome(path: Path, until: float) -> tuple[str, Any]:
    """`success` and the result of a job, `error` and a traceback, or nothing where there is none by then."""
    while not path.exists():
        if time.monotonic() > until:
            return "", None
        time.sleep(0.5)
    outcome, result = pickle.loads(path.read_bytes())
    return str(outcome), result


def _ended(jobs: Jobs, label: str, say: Say) -> list[ExtractionReport]:
    """The reports of the last job.

    Raises:
        SerError: a part died, or the last job.
    """
    died: list[tuple[str, str, Path]] = []
    until = time.monotonic() + RESULT_SECONDS
    for number, job in enumerate([*jobs.parts, jobs.merge]):
        name = f"part {number} of {len(jobs.parts)}" if number < len(jobs.parts) else "the job that merges"
        outcome, result = _outcome(jobs.result(job), until)
        if outcome == "success" or (died and job == jobs.merge):
            continue
        log = jobs.log(job)
        text = str(result) if outcome else log.read_text(errors="replace") if log.exists() else ""
        died.append((name, _last(text) or "it left no log: was it cancelled?", log))
    if not died:
        reports: list[ExtractionReport] = result
        shutil.rmtree(jobs.folder, ignore_errors=True)
        return reports
    for name, reason, log in died[1:]:
        say(f"{label}: {name} died: {reason} (log: {log})")
    name, reason, log = died[0]
    raise SerError(
        f"{label}: {name} died" + (f", and {len(died) - 1} more" if died[1:] else ""),
        found=reason,
        action=f"Its log is {log}. What was done is kept; give the same command again.",
    )


def _last(text: str) -> str:
    """The last line of a log or a traceback, without the name of the error's class."""
    lines = [line.strip() for line in text.splitlines() if line.strip().strip("-")]
    return re.sub(r"^(ser\.errors\.)?\w+Error: ", "", lines[-1])[:300] if lines else ""
