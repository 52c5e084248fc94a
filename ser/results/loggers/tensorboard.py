"""TensorBoard event files: curves and final scores of each run, and the summary."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ser.jsonfile import dumps
from ser.results.records.result import Source

PACKAGE = "tensorboard"
FILE = "events.out.tfevents.0.ser"


def write(source: Source, folder: Path) -> str:
    """Write `folder/tensorboard/EXPERIMENT/RUN/` for every training, and `summary/`; an earlier one is replaced whole.

    Args:
        source: a summary.
        folder: of the results.

    Returns:
        How to look at it.
    """
    place = folder / "tensorboard" / str(source.result["experiment"])
    aside = place.with_name(f".{place.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    for run, record in zip(source.runs, source.records, strict=True):
        with _writer(aside / Path(run["record"]).stem) as events:
            _run(events, record)
    with _writer(aside / "summary") as events:
        _summary(events, source)
    shutil.rmtree(place, ignore_errors=True)
    aside.rename(place)
    return f"tensorboard --logdir {folder / 'tensorboard'}"


def _run(events: Any, record: dict[str, Any]) -> None:
    for name, values in record.get("curves", {}).items():
        for epoch, value in enumerate(values, start=1):
            if value is not None:
                events.add_scalar(f"curves/{name}", value, epoch)
    last = record.get("best_epoch") or 0
    for split in ("validation", "test"):
        for metric, value in (record.get(split) or {}).items():
            events.add_scalar(f"{split}/{metric}", value, last)


def _summary(events: Any, source: Source) -> None:
    for split in ("validation", "test", "pooled"):
        for metric, value in (source.part.get(split) or {}).items():
            events.add_scalar(f"{split}/{metric}", value["mean"], 0)
    for name in ("command", "config_hash"):
        events.add_text(name, f"`{source.result[name]}`")
    events.add_text("config", "\n".join(f"    {line}" for line in dumps(source.result["config"]).splitlines()))
    events.add_text("stamps", "\n".join(f"- {stamp}" for stamp in source.result["stamps"]) or "none")


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
