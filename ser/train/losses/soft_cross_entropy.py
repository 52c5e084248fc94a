"""Cross-entropy with the distribution of the votes (Fayek et al., IJCNN 2016), with class weights and label smoothing.

With votes q, q' = (1 - s) q + s / K: -sum_k w_k q'_k log p_k, divided over the batch by the sum of w_k q_k. Of one-hot votes
this is `cross_entropy`.
"""

import torch.nn.functional as F
from torch import Tensor

from ser.train.losses._base import Batch, Term


class Loss(Term):
    targets = ("votes",)

    def forward(self, batch: Batch) -> Tensor:
        assert batch.target is not None
        logp = F.log_softmax(batch.logits, dim=-1)
        weights, q, s = batch.weights[:, None], batch.target, batch.smoothing
        smooth = (1 - s) * q + s / q.shape[-1]
        return -(weights * smooth * logp).sum((-1, -2)) / (weights * q).sum((-1, -2))
