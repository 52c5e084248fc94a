"""SimpleShot: embeddings are centred by the source's mean and scaled to length 1; then the nearest mean of the shots.

Wang, Chao, Weinberger & van der Maaten, "SimpleShot: Revisiting Nearest-Neighbor Classification for Few-Shot Learning",
arXiv:1911.04623, 2019: their CL2N with the nearest centroid of several shots, Euclidean distance, on a backbone trained by
cross-entropy. Vectors `(runs, shots, E)`; the mean is that of the source's training part, (their base classes).

Difference from `prototypical`: the centring and the length. Without a source nothing is centred (their L2N): features are
standardised already. The paper gives no probabilities; here they are softmax(-d^2), not calibrated.
"""

from collections.abc import Sequence

import numpy as np

from ser.train.fewshot.methods._base import Answer, Array, Rows, Task, nearest_centroid

FROM_SOURCE = True
NEEDS_SOURCE = False
READS_EMBEDDING = True
TARGETS = ("emotion", "votes")


def learn(task: Task, shots: Rows, seeds: Sequence[int]) -> Answer:
    def transform(vectors: Array) -> Array:
        moved = vectors - task.centre
        length = np.linalg.norm(moved, axis=-1, keepdims=True)
        return np.asarray(moved / np.where(length > 0, length, 1))

    return nearest_centroid(task, shots, transform)
