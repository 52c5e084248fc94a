"""Late fusion by logits: a head is trained on each modality by itself, and their logits are averaged.

As `late`, but the mean is of logits, whose softmax is the geometric mean of the probabilities, scaled to add up to 1: the
product rule of Kittler et al. (IEEE PAMI 1998) with equal priors. A part that is sure against a class rules it out.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

PART = "mlp"
TARGETS = ("emotion", "votes")  # a mean of logits found from probabilities by a softmax
DEFAULTS = {"lr": 1e-3, "epochs": 60}


def combine(probabilities: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Softmax of the mean of the parts' logits, found from their probabilities, each `(..., classes)`."""
    logs = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    return np.asarray(softmax(logs.mean(axis=0), axis=-1))


def combine_tensors(probabilities: Tensor) -> Tensor:
    """As `combine`, of a tensor `(parts, n, classes)`, for export."""
    return probabilities.clamp_min(torch.finfo(torch.float32).tiny).log().mean(0).softmax(-1)
