"""Plugins: one file per tracker, with the `PACKAGE` it needs and `write(source, folder)`: a summary's runs, curves and scores.

What is written comes from the records, once they are whole; writing the same result again changes nothing.
"""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ser.errors import ConfigError
from ser.registry import load
from ser.results.records.find import read_any
from ser.results.records.result import Source

KIND = "logger"
LOGGERS = "ser.results.loggers"


def need(loggers: Sequence[str]) -> None:
    """Refuse, before anything is trained, a tracker that could not be written to.

    Raises:
        ConfigError: an unknown one, or its package is not installed; with the command that installs it.
    """
    for name in loggers:
        package = load(LOGGERS, name).PACKAGE
        if find_spec(package) is None:
            raise ConfigError(
                f"--log {name} needs the package {package}", action=f"Install it: pip install 'ser[{name}]'"
            )


def log(result: dict[str, Any], path: Path, loggers: Sequence[str]) -> list[str]:
    """Write a result into trackers; of a study, each of the summaries that it is made of.

    Args:
        result: as it was written.
        path: its file.

    Returns:
        How to look at what was written, a line a tracker.
    """
    need(loggers)
    sources = [Source(path, result)] if "runs" in result else list(members(result, path))
    found = []
    for name in loggers:
        lines = {str(load(LOGGERS, name).write(source, path.parent)) for source in sources}
        found += sorted(lines)
    return found


def members(study: dict[str, Any], path: Path) -> Iterator[Source]:
    """The summaries that a study is made of, each once."""
    parts = [p for key in ("variants", "methods", "settings", "cells") for p in study.get(key, [])]
    for record in dict.fromkeys(str(p["record"]) for p in parts if p.get("record")):
        file = path.parent / record
        yield Source(file, read_any(file))
