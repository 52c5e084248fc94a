"""The same head from random weights on the same shots, without transfer: the measure of the other methods.

Its curve over the amount of target data says how many labels another method saves at equal UA
(`ser.results.metrics.saved_labels`). It
is trained with the settings of the source model's training, not with those of fine-tuning, and takes the last epoch. Features
are normalised as for the others, with `--normalize train` by the statistics of the source.
"""

from collections.abc import Sequence

from ser.train.fewshot.methods._base import Answer, Rows, Task, trained

FROM_SOURCE = False
NEEDS_SOURCE = True
READS_EMBEDDING = False
TARGETS = ("emotion", "votes", "labels", "dimensions")


def learn(task: Task, shots: Rows, seeds: Sequence[int]) -> Answer:
    return trained(task.fresh, task, shots, seeds, None)
