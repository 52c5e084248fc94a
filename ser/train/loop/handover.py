"""A training that one worker begins and another goes on with: all that it remembers between two epochs, in a file.

Five runs on two cores take three rounds, in the last of which one core is idle. Where a run is begun by one worker in a first
half round and ended by the other in the last, they take two and a half.

Random streams begin anew in each epoch, from the run's seed and the epoch's number, so that the state is the weights, the
moments of the optimiser, and what is known of the epochs so far. A training in two pieces is that in one, to the last bit
(`tests/train/loop/test_handover.py`).
"""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import ser
from ser.train.heads._base import part_of, plugin
from ser.train.loop.config import TARGET, Config
from ser.train.losses._base import Term, parse, term
from ser.workspace import writing


@dataclass(frozen=True)
class Handover:
    """The place where a run is handed over.

    Attributes:
        path: of the file, which all workers see.
        owner: tells the run of all others, and of those of another configuration.
        until: the epoch after which the worker leaves the run to another; None: it trains to the end.
    """

    path: Path
    owner: str
    until: int | None = None

    def write(self, state: dict[str, Any]) -> None:
        """Leave the state of a training to another worker."""
        # On a full disk nothing is left, and the run is trained from its beginning.
        with suppress(OSError, RuntimeError), writing(self.path) as draft:
            torch.save({**state, "owner": self._owner_and_versions}, draft)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the worker that goes on with the run wait until this one has left it, or has died."""
        with ExitStack() as stack:
            with suppress(OSError):  # on a full disk, without locks, or beside the same command nobody waits
                self.path.parent.mkdir(parents=True, exist_ok=True)
                fcntl.flock(stack.enter_context(self._lock.open("w")), fcntl.LOCK_EX | fcntl.LOCK_NB)
                stack.callback(self._lock.unlink, missing_ok=True)
            yield

    def read(self) -> dict[str, Any] | None:
        """The state in which another worker left the run; None where there is none. Who is to end it waits for that worker."""
        if self.until is None:
            with suppress(OSError), self._lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH)
        try:
            state: dict[str, Any] = torch.load(self.path, weights_only=True)
        except Exception:  # not there, cut short, of another version of torch: trained from the beginning
            return None
        return state if state.get("owner") == self._owner_and_versions else None

    @property
    def _lock(self) -> Path:
        return self.path.with_suffix(".lock")

    @property
    def _owner_and_versions(self) -> str:
        """The owner, and the versions without which the second half might not fit the first."""
        return f"{self.owner}, ser {ser.__version__}, torch {torch.__version__}"

    def end(self) -> None:
        """Remove the files."""
        for path in (self.path, self._lock):
            with suppress(OSError):
                path.unlink()


def can_be_handed_over(config: Config) -> bool:
    """True if a training of this configuration remembers nothing between epochs but what `Handover` writes.

    Parts from outside of `ser` may remember anything; so do averages of weights, snapshots, adaptation and losses of an epoch.
    """
    losses = [term(name) for name in parse(config.loss)]
    return (
        part_of(config.head) == config.head
        and all(name.startswith("ser.") for name in (plugin(config.head).__name__, *(one.__module__ for one in losses)))
        and all(one.after_step is Term.after_step for one in losses)
        and (config.average, config.snapshots, config.freeze, config.adapt) == ("none", 1, "none", "none")
        and config.selection not in TARGET
    )
