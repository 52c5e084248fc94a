"""TensorBoard event files: curves and final scores of each run, and the summary."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ser.jsonfile import dumps
from ser.results.loggers import Values, values_of_run, values_of_summary
from ser.results.stored_result import StoredResult

PACKAGE = "tensorboard"
FILE = "events.out.tfevents.0.ser"


def write(result: StoredResult, folder: Path) -> str:
    """Write `folder/tensorboard/EXPERIMENT/RUN/` for every training, and `summary/`; an earlier one is replaced whole."""
    place = folder / "tensorboard" / str(result.record.experiment)
    aside = place.with_name(f".{place.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    for run, record in zip(result.runs, result.records, strict=True):
        with _writer(aside / Path(run.record).stem) as events:
            _add(events, values_of_run(record))
    with _writer(aside / "summary") as events:
        _add(events, values_of_summary(result))
        _add_texts(events, result)
    shutil.rmtree(place, ignore_errors=True)
    aside.rename(place)
    return f"tensorboard --logdir {folder / 'tensorboard'}"


def _add(events: Any, values: Values) -> None:
    for part, name, value, epoch in values:
        events.add_scalar(f"{part}/{name}", value, epoch)


def _add_texts(events: Any, result: StoredResult) -> None:
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
