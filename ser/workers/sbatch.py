"""The resources that SLURM is asked for, and a script that asks by `sbatch` alone."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ser.errors import ConfigError

TIME = "2:00:00"


@dataclass(frozen=True)
class Allocation:
    """The resources for one job of SLURM.

    Attributes:
        name: of the jobs, in the queue.
        cores: of one job.
        time: limit of one job: minutes, or `[DAYS-]HOURS:MINUTES:SECONDS`; None is `TIME`.
        partition: None is the default of SLURM.
        sbatch: further options of `sbatch`, such as `account=speech`.
        at_once: the number of parts that run at the same time; None leaves it to SLURM.

    Raises:
        ConfigError: a value has several lines, which a script of SLURM cannot have.
    """

    name: str
    cores: int = 1
    time: str | None = None
    partition: str | None = None
    sbatch: tuple[str, ...] = ()
    at_once: int | None = None

    def __post_init__(self) -> None:
        one_line(self.partition or "", *self.sbatch)

    @property
    def minutes(self) -> int:
        """The time limit."""
        return minutes(self.time or TIME)

    @property
    def further(self) -> dict[str, str | bool]:
        """The further options by name."""
        return further(self.sbatch)


def minutes(text: str) -> int:
    """A time limit in minutes.

    >>> minutes("90"), minutes("1:30:00"), minutes("2-00:00:00")
    (90, 90, 2880)

    Raises:
        ConfigError: it cannot be read.
    """
    found = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):(\d\d):(\d\d)|(\d+))", text)
    if found is None or not any(int(group or 0) for group in found.groups()):
        raise ConfigError(f"--time {text}", expected="minutes, or [DAYS-]HOURS:MINUTES:SECONDS", option="time")
    days, hours, mins, seconds, plain = (int(group or 0) for group in found.groups())
    return plain or (days * 24 + hours) * 60 + mins + (seconds > 0)


def further(words: Sequence[str]) -> dict[str, str | bool]:
    """Options of sbatch, of `KEY=VALUE` or `KEY`.

    >>> further(["--account=speech", "exclusive"])
    {'account': 'speech', 'exclusive': True}

    Raises:
        ConfigError: one has another form.
    """
    found: dict[str, str | bool] = {}
    for word in words:
        name, equals, value = word.lstrip("-").partition("=")
        if not re.fullmatch(r"[a-z][a-z-]*", name):
            raise ConfigError(f"--sbatch {word}", expected="KEY=VALUE, as account=speech", option="sbatch")
        found[name] = value if equals else True
    return found


def one_line(*texts: str) -> None:
    """Refuse a text of several lines, which would break a script.

    Raises:
        ConfigError: the first of them.
    """
    for text in texts:
        if len(text.splitlines()) > 1 or text.endswith(("\n", "\r")):
            raise ConfigError("a word of several lines cannot be in a script of SLURM", found=repr(text[:80]))


def script(words: Sequence[str], more: Sequence[str], parts: int, allocation: Allocation, folder: Path) -> str:
    """A shell script that submits a command in parts, and then the whole command, by `sbatch` alone.

    Args:
        words: the command; in a part of it `--shard I/N` follows them.
        more: the words after that place.
        parts: their number; 0 submits the whole command alone.
        folder: for logs.

    Raises:
        ConfigError: a word, or the folder's name, cannot be in a script.
    """
    folder = folder.resolve()
    one_line(*words, *more, str(Path.cwd()))
    logs = log_pattern(folder)
    begin, end = shlex.join(words), "".join(f" {shlex.quote(word)}" for word in more)
    lines = ["#!/bin/bash", f"#SBATCH --job-name={allocation.name}", f"#SBATCH --time={allocation.minutes}"]
    lines += [f"#SBATCH --cpus-per-task={allocation.cores}", "#SBATCH --requeue", "#SBATCH --open-mode=append"]
    lines += [_directive("partition", allocation.partition)] if allocation.partition else []
    lines += [_directive(name, value) for name, value in allocation.further.items()]
    last = [*lines, _directive("output", f"{logs}/%j.log"), f"{begin}{end}", "END"]
    places = [f"cd {shlex.quote(str(Path.cwd()))} || exit", f"mkdir -p {shlex.quote(str(folder))}"]
    if not parts:
        return "\n".join(["#!/bin/bash", *places, "sbatch << 'END'", *last])
    at_once = f"%{allocation.at_once}" if allocation.at_once else ""
    return "\n".join(
        [
            "#!/bin/bash",
            f"# A command in {parts} parts, and a last job that puts them together. `bash` submits both.",
            *places,
            "array=$(sbatch --parsable << 'END'",
            *lines,
            f"#SBATCH --array=0-{parts - 1}{at_once}",
            _directive("output", f"{logs}/%A_%a.log"),
            f"{begin} --shard $SLURM_ARRAY_TASK_ID/{parts}{end} || [ $? = 3 ]  # 3: done, but for some items",
            "END",
            ") || exit",
            "sbatch --dependency=afterok:${array%%;*} --kill-on-invalid-dep=yes << 'END'",
            *last,
        ]
    )


def log_pattern(folder: Path) -> str:
    """The name of a folder in a pattern of log files.

    >>> log_pattern(Path("/tmp/50%"))
    '/tmp/50%%'

    Raises:
        ConfigError: it has several lines, or a backslash, with which SLURM replaces nothing.
    """
    one_line(str(folder))
    if "\\" in str(folder):
        raise ConfigError(
            f"{folder} cannot have the logs of SLURM: a backslash is in its name", action="Choose another workspace."
        )
    return str(folder).replace("%", "%%")


def _directive(name: str, value: str | bool) -> str:
    return f"#SBATCH --{name}" + ("" if value is True else f"={shlex.quote(str(value))}")
