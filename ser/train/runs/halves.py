"""A run's training in two halves, of any size, for different workers: what is left between them, and found again.

What is trained does not change by a bit: all that a run draws is derived from its seed and the epoch.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ser.workspace import writing


class Half(NamedTuple):
    """One half of a run's training.

    Attributes:
        path: where the first half leaves the run and the second finds it. Where it finds nothing, it trains the whole.
        epochs: the first half ends after so many; None: this is the second.
    """

    path: Path
    epochs: int | None = None

    @property
    def is_first(self) -> bool:
        return self.epochs is not None


def leave(state: dict[str, Any], path: Path) -> None:
    """Write what a run is between two epochs, whole or not at all; where there is no room for it, not."""
    # A full disk is an OSError of Python's or a RuntimeError of torch's.
    with suppress(OSError, RuntimeError), writing(path) as beside, beside.open("wb") as file:
        torch.save(state, file)


def found(path: Path) -> dict[str, Any] | None:
    """What was left, which is gone from there then; None where nothing was."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=False)  # of this very call, in a folder of its own
    with suppress(OSError):
        path.unlink()
    return state
