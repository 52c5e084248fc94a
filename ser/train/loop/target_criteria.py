"""Scores of an epoch for a target corpus whose labels are not known, one value a run; `ser.train.loop.selection`
decides by them.

- `entropy`: mutual information between utterance and predicted class over the unlabelled target, H(mean p) - mean H(p) in nats;
  higher is better (Bridle et al., NIPS 1991; Krause et al., NIPS 2010). Certain predictions alone, a low mean H(p), are no
  sign of good ones (Saito et al., ICCV 2021): a head that calls everything one class has none at all. H(mean p)
  takes that away, if the target's classes are about equally frequent. It grows with confidence, right or wrong.
- `iwv`: importance-weighted validation (Sugiyama et al., JMLR 2007): cross-entropy of source validation, each utterance
  weighted by the density ratio target / source of its input features; lower is better. The same weights in all epochs.
- `dev`: deep embedded validation (You et al., ICML 2019): the same with the ratio in the space of the embedding, estimated anew
  each epoch, and a control variate; lower is better, and it can be below 0. With `iwv` and `dev`, the curve
  `selection_effective` says what share of the validation utterances the weights are worth: where it is a few percent, the
  corpora are too far apart for these weights, and the score is that of a few utterances.
- `oracle`: UA on labelled target validation rows; higher is better. It reads the target's labels, and is no adaptation
  without supervision: whoever uses it has to say so.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ser.errors import TrainingError
from ser.train.loop.batches import Resident
from ser.train.loop.data import Data
from ser.train.loop.forward import EVALUATION_ROWS, embeddings, logits
from ser.train.loop.importance_weights import controlled_risk, density_ratio, effective, thinned, weighted_risk
from ser.train.loop.selection import TARGET
from ser.train.loop.validation import validate
from ser.train.nn.layers import mean
from ser.train.nn.parameters import Parameters

Rows = NDArray[np.int64]
Array = NDArray[np.float64]


class Criterion:
    """The scores of a selection for a target corpus.

    Args:
        data: features and rows; `oracle` alone reads labels of the target's rows.
        selection: its name.
        runs: how many are trained.

    Raises:
        TrainingError: rows that the selection needs are not given.
    """

    def __init__(self, data: Data, selection: str, runs: int) -> None:
        self.data, self.selection = data, selection
        rows = data.oracle if selection == "oracle" else data.unlabelled
        self.target: Rows = np.arange(0) if rows is None else rows
        if not len(self.target):
            kind = "labelled target validation rows" if selection == "oracle" else "unlabelled target rows"
            raise TrainingError(f"selection {selection} without {kind}", action="Use it in adaptation: ser adapt.")
        if selection in ("iwv", "dev") and not len(data.validation):
            raise TrainingError(f"selection {selection} without source validation rows")
        self.source = [thinned(own) for own in np.atleast_2d(data.train)]
        self.rows = np.unique(np.concatenate([*self.source, thinned(self.target), data.validation]))
        self.weights: list[Array] = []
        if selection == "iwv":
            values = pooled(data.resident, self.rows)
            each = [self._ratio(values, k) for k in range(len(self.source))]
            self.weights = each * runs if len(each) == 1 else each

    def __call__(self, parameters: Parameters, alive: list[int], validation: Tensor | None) -> list[dict[str, float]]:
        """Scores of each run that is alive.

        Args:
            parameters: of these runs.
            alive: their numbers.
            validation: logits of the validation rows, `(runs, rows, classes)`.

        Returns:
            Scores by name; those of a run that gives values that are not finite are not either.
        """
        if self.selection in ("iwv", "dev"):
            assert validation is not None
            return self._risks(parameters, alive, validation)
        guess = logits(parameters, self.data, self.target)
        return self._oracle(guess) if self.selection == "oracle" else self._information(guess)

    def _information(self, guess: Tensor) -> list[dict[str, float]]:
        return [{"selection_entropy": v} for v in information(guess).tolist()]

    def _oracle(self, guess: Tensor) -> list[dict[str, float]]:
        labels = torch.as_tensor(self.data.labels[self.target], device=guess.device)
        scores = [score.values for score in validate(guess, labels, self.data.classes)]
        return [
            {
                "selection_oracle": s["validation_UA"],
                "selection_oracle_error": s["validation_UA_error"],
                "oracle_loss": s["validation_loss"],
            }
            for s in scores
        ]

    def _risks(self, parameters: Parameters, alive: list[int], validation: Tensor) -> list[dict[str, float]]:
        labels = self.data.labels[self.data.validation]
        logp = validation.log_softmax(-1).cpu().numpy().astype(np.float64)
        losses = -logp[:, np.arange(len(labels)), labels]
        if self.selection == "dev":
            values = embeddings(parameters, self.data, self.rows).cpu().numpy()
            weights = [self._ratio(own.astype(np.float64), r) for own, r in zip(values, alive, strict=True)]
        else:
            weights = [self.weights[r] for r in alive]
        risk = controlled_risk if self.selection == "dev" else weighted_risk
        return [
            {f"selection_{self.selection}": risk(w, own), "selection_effective": effective(w) / len(w)}
            for w, own in zip(weights, losses, strict=True)
        ]

    def _ratio(self, values: Array, run: int) -> Array:
        """Weights of the validation rows of one run, from values `(len(self.rows), D)`; not numbers where one is not finite."""
        if not np.isfinite(values).all():
            return np.full(len(self.data.validation), np.nan)
        parts = (self.source[min(run, len(self.source) - 1)], thinned(self.target), self.data.validation)
        source, target, at = (values[np.searchsorted(self.rows, rows)] for rows in parts)
        return density_ratio(source, target, at)


def information(logits: Tensor) -> Tensor:
    """Mutual information of utterance and predicted class, H(mean p) - mean H(p) in nats, `(runs, rows, K)` -> `(runs,)`."""
    logp = logits.double().log_softmax(-1) if logits.device.type != "mps" else logits.log_softmax(-1)
    p = logp.exp()
    share = p.mean(1)
    return -torch.xlogy(share, share).sum(-1) + (p * logp).sum(-1).mean(-1)


def criterion(data: Data, selection: str, runs: int) -> Criterion | None:
    """The scores that a selection needs beside those of the validation part; None where it needs none."""
    return Criterion(data, selection, runs) if selection in TARGET else None


@torch.no_grad()
def pooled(resident: Resident, rows: Rows) -> Array:
    """Input features of some rows, frames and stored layers averaged, stores side by side, `(len(rows), D)`.

    Raises:
        TrainingError: word ids, of which an average means nothing.
    """
    words = [i.name for i in resident.inputs if i.vocabulary]
    if words:
        raise TrainingError(f"selection iwv cannot average the word ids of {words[0]}", action="Take --selection dev.")
    found = []
    for part in torch.split(torch.as_tensor(rows, device=resident.device), EVALUATION_ROWS):
        batch = resident.batch(part[None])
        values = [v.mean(2) if i.layers > 1 else mean(v, m) for i in resident.inputs for v, m in [batch[i.name]]]
        found.append(torch.cat(values, dim=-1)[0].cpu().numpy())
    return np.concatenate(found).astype(np.float64)
