"""Prototypical: the nearest mean of each class's shots by squared Euclidean distance in the source model's embedding.

Snell, Swersky & Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017: p(class) = softmax(-d^2), their equations 1
and 2, for vectors `(runs, shots, E)`. Without a source the pooled, normalised features take the embedding's place.

Difference: the paper trains the backbone episodically, with this very loss. Here it is trained by the head's own loss
(cross-entropy) on all of the source, and the prototypes are made afterwards. The probabilities are not calibrated: with many
dimensions d^2 is large, and they are nearly 0 or 1.
"""

from collections.abc import Sequence

from ser.train.fewshot.methods._base import Answer, Rows, Task, nearest_centroid

FROM_SOURCE = True
NEEDS_SOURCE = False
READS_EMBEDDING = True
TARGETS = ("emotion", "votes")


def learn(task: Task, shots: Rows, seeds: Sequence[int]) -> Answer:
    return nearest_centroid(task, shots)
