"""Cross-entropy with class weights and label smoothing (Szegedy et al., CVPR 2016)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ser.train.losses._base import Batch, Term


class Loss(Term):
    """`loss` below, with the class weights and the smoothing of the configuration."""

    def forward(self, batch: Batch) -> Tensor:
        return loss(batch.logits, batch.labels, batch.weights, batch.smoothing)


def loss(logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean loss of each run.

    With q = (1 - s) onehot(y) + s / K, an utterance's loss is -sum_k w_k q_k log p_k; the mean over a batch divides by the
    sum of w_y, as `torch.nn.CrossEntropyLoss` does.

    Args:
        logits: `(runs, batch, classes)`.
        labels: `(runs, batch)`.
        weights: `(runs, classes)`.
        smoothing: s, in [0, 1).

    Returns:
        `(runs,)`.
    """
    logp = F.log_softmax(logits, dim=-1)
    own = weights.gather(1, labels)
    hard = -own * logp.gather(2, labels[..., None])[..., 0]
    if smoothing == 0:
        return hard.sum(1) / own.sum(1)
    soft = -(weights[:, None] * logp).sum(-1) / logits.shape[-1]
    return ((1 - smoothing) * hard + smoothing * soft).sum(1) / own.sum(1)


def class_weights(counts: Tensor) -> Tensor:
    """Balanced weights N / (K n_c), K the classes that are there; a class without an utterance has weight 0.

    Args:
        counts: utterances of each class, `(..., classes)`.
    """
    there = counts > 0
    total, classes = counts.sum(-1, keepdim=True), there.sum(-1, keepdim=True)
    return torch.where(there, total / (classes * counts.clamp_min(1)), torch.zeros(())).float()
