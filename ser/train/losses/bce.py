"""Binary cross-entropy of each label (Cox 1958), mean over utterances and labels.

Class weights weigh the utterances that have a label.
"""

import torch.nn.functional as F
from torch import Tensor

from ser.train.losses._base import Batch, Term


class Loss(Term):
    targets = ("labels",)

    def forward(self, batch: Batch) -> Tensor:
        assert batch.target is not None
        has, lacks = F.logsigmoid(batch.logits), F.logsigmoid(-batch.logits)
        return -(batch.weights[:, None] * batch.target * has + (1 - batch.target) * lacks).mean((-1, -2))
