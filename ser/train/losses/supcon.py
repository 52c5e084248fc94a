"""Supervised contrastive loss on the head's embedding, tau 0.07 (Khosla et al., NeurIPS 2020, eq. 2).

Embeddings z are scaled to length 1. An utterance i with others of its class, P(i), in the batch has the loss
-1/|P(i)| sum over p in P(i) of log(exp(z_i z_p / tau) / sum over a != i of exp(z_i z_a / tau)); the mean is over the
utterances that have such others, and 0 where none has.

Differences: the paper sees two augmented views of each image and puts a projection between encoder and loss; here an
utterance is seen once per batch, and the embedding itself is used.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ser.train.losses._base import Batch, Term
from ser.train.nn.layers import row_products

TAU = 0.07


class Loss(Term):
    reads_embedding = True
    mixes = False

    def forward(self, batch: Batch) -> Tensor:
        assert batch.embedding is not None
        z = F.normalize(batch.embedding, dim=-1)
        similar = row_products(z, z) / TAU
        itself = torch.eye(z.shape[1], dtype=torch.bool, device=z.device)
        # Not minus infinity: in a batch of one utterance nothing else is left, and that would be not a number.
        logp = similar - similar.masked_fill(itself, -1e9).logsumexp(-1, keepdim=True)
        positive = (batch.labels[:, :, None] == batch.labels[:, None]) & ~itself
        others = positive.sum(-1)
        losses = -torch.where(positive, logp, 0).sum(-1) / others.clamp_min(1)
        return losses.sum(1) / (others > 0).sum(1).clamp_min(1)
