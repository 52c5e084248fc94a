"""Fine-tuning: the whole head goes on from the source model, or from random weights where there is no source.

The plain baseline of few-shot learning, and often a strong one (Chen et al., "A Closer Look at Few-shot Classification", ICLR
2019). From a source it takes `--tune-epochs` epochs at `--lr-factor` of the learning rate, and with `--freeze encoder` only
what comes after the embedding learns. No validation part of the target is used, as its labels would be shots that are not
counted, so the last epoch is taken.
"""

from collections.abc import Sequence

from ser.train.fewshot.methods._base import Answer, Rows, Task, trained

FROM_SOURCE = True
NEEDS_SOURCE = False
READS_EMBEDDING = False
TARGETS = ("emotion", "votes", "labels", "dimensions")


def learn(task: Task, shots: Rows, seeds: Sequence[int]) -> Answer:
    learner = task.fresh if task.weights is None else task.learner
    return trained(learner, task, shots, seeds, task.weights)
