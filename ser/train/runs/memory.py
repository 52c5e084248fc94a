"""A stack of runs on a device that may have too little memory for it."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from ser import accelerator
from ser.errors import TrainingError
from ser.train.runs.divergence import located

T = TypeVar("T")


def within_memory(
    device: str, head: str, runs: Sequence[int], where: str, whole: Callable[[], T], halves: Callable[[int], T]
) -> T:
    """`whole()`; where the device has no memory for it, half of the runs after the other half.

    Args:
        runs: numbers of the stack's runs.
        where: the folds, for errors.
        whole: trains the stack.
        halves: trains the runs before a position, then those from it on.

    Raises:
        TrainingError: no memory for one run; or the training's own error, with the runs and the folds.
    """
    try:
        return whole()
    except RuntimeError as error:
        if not accelerator.is_full(error):
            raise
        if len(runs) == 1:
            raise TrainingError(
                f"{device} has not enough memory for one run of head {head}",
                found=str(error).split("\n")[0],
                action="Take a smaller --batch-size, or --device cpu.",
            ) from None
    except TrainingError as error:
        which = f"run {runs[0]}" if len(runs) == 1 else f"one of runs {', '.join(map(str, runs))}"
        raise located(error, which, where) from None
    accelerator.empty()
    return halves(len(runs) // 2)
