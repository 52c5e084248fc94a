"""TensorBoard event files: curves and final scores of each run, and the summary."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ser.jsonfile import dumps, plain
from ser.results.records.model import RunRecord
from ser.results.stored_result import StoredResult

PACKAGE = "tensorboard"
FILE = "events.out.tfevents.0.ser"


def write(result: StoredResult, folder: Path) -> str:
    """Write `folder/tensorboard/EXPERIMENT/RUN/` for every training, and `summary/`; an earlier one is replaced whole.

    Args:
        result: a summary.
        folder: of the results.

    Returns:
        The command that shows it.
    """
    place = folder / "tensorboard" / str(result.record.experiment)
    aside = place.with_name(f".{place.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    for run, record in zip(result.runs, result.records, strict=True):
        with _writer(aside / Path(run.record).stem) as events:
            _run(events, record)
    with _writer(aside / "summary") as events:
        _summary(events, result)
    shutil.rmtree(place, ignore_errors=True)
    aside.rename(place)
    return f"tensorboard --logdir {folder / 'tensorboard'}"


def _run(events: Any, record: RunRecord) -> None:
    for name, values in (record.curves or {}).items():
        for epoch, value in enumerate(values, start=1):
            if value is not None:
                events.add_scalar(f"curves/{name}", value, epoch)
    last = record.best_epoch or 0
    for split in ("validation", "test"):
        for metric, value in (plain(getattr(record, split) or None) or {}).items():
            events.add_scalar(f"{split}/{metric}", value, last)


def _summary(events: Any, result: StoredResult) -> None:
    for split in ("validation", "test", "pooled"):
        if metrics := getattr(result.numbers, split):
            for name, metric in metrics.items():
                events.add_scalar(f"{split}/{name}", metric.mean, 0)
    for name in ("command", "config_hash"):
        events.add_text(name, f"`{getattr(result.record, name)}`")
    events.add_text("config", "\n".join(f"    {line}" for line in dumps(result.record.config).splitlines()))
    events.add_text("stamps", "\n".join(f"- {stamp}" for stamp in result.record.stamps) or "none")


@contextmanager
def _writer(folder: Path) -> Iterator[Any]:
    from torch.utils.tensorboard import SummaryWriter

    events = SummaryWriter(str(folder))
    try:
        yield events
    finally:
        events.close()
        for file in folder.glob("events.out.tfevents.*"):
            file.rename(folder / FILE)  # its own name ends in that of the computer
