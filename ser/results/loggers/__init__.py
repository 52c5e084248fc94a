"""Plugins: one file per tracker, with the `PACKAGE` it needs and `write(result, folder)`.

It writes the runs, curves and scores of a summary, `folder` being that of the results, and gives the command that shows them.
Trackers are written from the records, once these are whole; writing the same result again changes nothing.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ser.jsonfile import plain
from ser.optional import need
from ser.registry import load
from ser.results.records.find import beside
from ser.results.records.kinds import read_record
from ser.results.records.model import Opening, RunRecord
from ser.results.stored_result import StoredResult
from ser.results.studies import StudyRecord

KIND = "logger"
LOGGERS = "ser.results.loggers"
Values = Iterator[tuple[str, str, float, int]]  # `curves` or a split, a name, its number, and the epoch


def refuse_absent(loggers: Sequence[str]) -> None:
    """Refuse, before anything is trained, a tracker that could not be written to.

    Raises:
        ConfigError: a tracker is unknown, or its package is not installed; with the command that installs it.
    """
    for name in loggers:
        need(load(LOGGERS, name).PACKAGE, name, f"--log {name}")


def log(record: Opening, path: Path, loggers: Sequence[str]) -> list[str]:
    """Write a result into trackers; of a study, each of the summaries that it is made of.

    Args:
        path: its file.

    Returns:
        The command that shows what was written, one line per tracker.
    """
    refuse_absent(loggers)
    results = list(members(record, path)) if isinstance(record, StudyRecord) else [StoredResult(path, record)]
    found = []
    for name in loggers:
        lines = {str(load(LOGGERS, name).write(one, path.parent)) for one in results}
        found += sorted(lines)
    return found


def members(study: StudyRecord, path: Path) -> Iterator[StoredResult]:
    """The summaries that a study is made of, each once."""
    for record in dict.fromkeys(record for _, record in study.members()):
        file = beside(path, record)
        yield StoredResult(file, read_record(file))


def values_of_run(record: RunRecord) -> Values:
    """The curves of a training by epoch, and its scores at the epoch that was picked."""
    for name, numbers in (record.curves or {}).items():
        yield from (("curves", name, float(v), epoch) for epoch, v in enumerate(numbers, start=1) if v is not None)
    for split in ("validation", "test"):
        scores = plain(getattr(record, split) or None) or {}
        yield from ((split, name, value, record.best_epoch or 0) for name, value in scores.items())


def values_of_summary(result: StoredResult) -> Values:
    """The means over all runs."""
    for split in ("validation", "test", "pooled"):
        if metrics := getattr(result.numbers, split):
            yield from ((split, name, metric.mean, 0) for name, metric in metrics.items())
