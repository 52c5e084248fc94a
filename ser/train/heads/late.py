"""Late fusion: a head is trained on each modality by itself, and their probabilities are averaged.

Each part has its own early stopping and its own weights; nothing is shared. The mean of probabilities is the sum rule of
Kittler et al. (IEEE PAMI 1998).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

PART = "mlp"
DEFAULTS = {"lr": 1e-3, "epochs": 60}


def combine(probabilities: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean of the parts' probabilities, each `(n, classes)`."""
    return np.asarray(np.mean(probabilities, axis=0))


def combine_tensors(probabilities: Tensor) -> Tensor:
    """As `combine`, of a tensor `(parts, n, classes)`, for export."""
    return probabilities.mean(0)
