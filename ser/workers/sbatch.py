"""The resources that SLURM is asked for, and a script that asks by `sbatch` alone."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """

    name: str
    cores: int = 1
    time: str | None = None
    partition: str | None = None
    sbatch: tuple[str, ...] = ()
    at_once: int | None = None

    @property
    def minutes(self) -> int:
        """The time limit."""
        return minutes(self.time or TIME)

    @property
    def further(self) -> dict[str, Any]:
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


def further(words: Sequence[str]) -> dict[str, Any]:
    """Options of sbatch, of `KEY=VALUE` or `KEY`.

    >>> further(["--account=speech", "exclusive"])
    {'account': 'speech', 'exclusive': True}

    Raises:
        ConfigError: one has another form.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.lstrip("-").partition("=")
        if not re.fullmatch(r"[a-z][a-z-]*", name):
            raise ConfigError(f"--sbatch {word}", expected="KEY=VALUE, as account=speech", option="sbatch")
        found[name] = value if equals else True
    return found


def script(command: str, parts: int, allocation: Allocation, folder: Path) -> str:
    """A shell script that submits a command in parts, and then the whole command, by `sbatch` alone.

    Args:
        command: the whole; a part of it has `--shard I/N` too.
        parts: their number; 0 submits the whole command alone.
        folder: for logs.
    """
    lines = ["#!/bin/bash", f"#SBATCH --job-name={allocation.name}", f"#SBATCH --time={allocation.minutes}"]
    lines += [f"#SBATCH --cpus-per-task={allocation.cores}", "#SBATCH --requeue", "#SBATCH --open-mode=append"]
    lines += [f"#SBATCH --partition={allocation.partition}"] if allocation.partition else []
    for name, value in allocation.further.items():
        lines.append(f"#SBATCH --{name}" + ("" if value is True else f"={shlex.quote(value)}"))
    last = [*lines, f"#SBATCH --output={folder}/%j.log", command, "END"]
    begin = ["#!/bin/bash", f"mkdir -p {shlex.quote(str(folder))}"]
    if not parts:
        return "\n".join([*begin, "sbatch << 'END'", *last])
    at_once = f"%{allocation.at_once}" if allocation.at_once else ""
    return "\n".join(
        [
            begin[0],
            f"# A command in {parts} parts, and a last job that puts them together. `bash` submits both.",
            begin[1],
            "array=$(sbatch --parsable << 'END'",
            *lines,
            f"#SBATCH --array=0-{parts - 1}{at_once}",
            f"#SBATCH --output={folder}/%A_%a.log",
            f"{command} --shard $SLURM_ARRAY_TASK_ID/{parts}",
            "END",
            ")",
            "sbatch --dependency=afterok:${array%%;*} << 'END'",
            *last,
        ]
    )
