"""Which worker trains what: equal runs that do not go up evenly are trained in halves, so that all workers end together.

Five equal runs on two workers are three rounds, in the last of which one worker has nothing to do. A run that one worker
begins and another ends makes two and a half of them (McNaughton's wrap-around rule, Management Science 6(1), 1959: the runs lie
one after another on a tape, which is cut into as many equal pieces as there are workers).
"""

from collections.abc import Sequence
from pathlib import Path

from ser.train.loop.config import Config
from ser.train.loop.selection import SOURCE
from ser.train.nn.head import part_of
from ser.train.runs.halves import Half
from ser.train.runs.job import Unit, refits

GAIN = 1.05  # times faster, from which it is done
EQUAL = 1.2  # times as many utterances
REFITTED = 1.6  # with training again on training and validation, what a run takes of its first training


def share_out(units: int, jobs: int) -> list[tuple[int, float]]:
    """Equal units in the order in which free workers take them: number, and which share of it is trained then.

    A share below 1 is a first half; the unit comes a second time, for what is left.

    >>> share_out(5, 2)
    [(0, 1.0), (2, 0.5), (3, 1.0), (1, 1.0), (4, 1.0), (2, 1.0)]
    >>> share_out(4, 2)
    [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]
    """
    rounds, each = -(-units // jobs), units / jobs
    if units <= jobs or rounds / each < GAIN:
        return [(unit, 1.0) for unit in range(units)]
    pieces = []  # when it begins, unit, share
    for unit in range(units):
        worker = int(unit * jobs // units)
        begins, end = unit - worker * each, (worker + 1) * each
        if unit + 1 > end + 1e-9:  # it ends on the next worker's piece of the tape, with which that worker begins
            pieces.append((0.0, unit, round(unit + 1 - end, 9)))
        pieces.append((begins, unit, 1.0))
    return [(unit, share) for _, unit, share in sorted(pieces, key=lambda p: p[0])]


def divided(units: Sequence[Unit], jobs: int, folder: Path) -> list[tuple[int, Half | None]]:
    """Numbers of units in the order to begin them; some in halves where they are equal and that is faster.

    Args:
        folder: for runs between their halves.
    """
    if jobs == 1 or not _are_equal(units) or not all(map(_divisible, units)):
        return [(number, None) for number in range(len(units))]
    found: list[tuple[int, Half | None]] = []
    order = share_out(len(units), jobs)
    cut = {number for number, share in order if share < 1}
    for number, share in order:
        (job, folds, _), path = units[number], folder / f"{number}.run"
        assert isinstance(job.config, Config)
        whole = job.config.epochs * (REFITTED if refits(job, folds[0]) else 1)
        first = max(1, min(job.config.epochs, round(share * whole)))
        found.append((number, Half(path, first if share < 1 else None) if number in cut else None))
    return found


def _are_equal(units: Sequence[Unit]) -> bool:
    """Whether units take about as long: of one job, on about as many utterances."""
    sizes = [len(folds[0].train) for _, folds, _ in units]
    return len({id(job) for job, _, _ in units}) == 1 and max(sizes) <= EQUAL * min(sizes)


def _divisible(unit: Unit) -> bool:
    """Whether a unit is the plain training of one run, of which weights, moments and scores are all there is between epochs.

    Not one that may stop early: its second half would be taken up while the first goes on, and nobody knows where to cut it.
    """
    job, (fold, *_), runs = unit
    config = job.config
    return (
        isinstance(config, Config)
        and len(runs) == 1
        and config.patience == 0
        and part_of(config.head) == config.head
        and fold.before is None
        and fold.unlabelled is None
        and (config.average, config.freeze, config.adapt, config.snapshots) == ("none", "none", "none", 1)
        and config.selection in SOURCE
    )
