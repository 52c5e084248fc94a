"""Choosing an epoch for a target corpus whose labels are not known: scores of each epoch, one value for each run.

- `entropy`: mutual information between utterance and predicted class over the unlabelled target, H(mean p) - mean H(p) in nats;
  higher is better (Bridle et al., NIPS 1991; Krause et al., NIPS 2010). Certain predictions alone, a low mean H(p), do not
  show that they are right (Saito et al., ICCV 2021): a head that gives everything one class has the lowest. H(mean p)
  corrects for that, if the target's classes are about equally frequent. It grows with confidence, right or wrong.
- `iwv`: importance-weighted validation (Sugiyama et al., JMLR 2007): cross-entropy of source validation, each utterance
  weighted by the density ratio target / source of its input features; lower is better. The weights are the same in all epochs.
- `dev`: deep embedded validation (You et al., ICML 2019): the same with the ratio in the embedding's space, estimated again in
  each epoch, and a control variate; lower is better, and it can be below 0. With `iwv` and `dev`, the curve
  `selection_effective` is the share of the validation utterances that the weights are worth: where it is a few percent, the
  corpora are too far apart for these weights, and the score is that of a few utterances.
- `oracle`: UA on labelled target validation rows; higher is better. It reads the target's labels, so it is not
  unsupervised adaptation, and records of it carry a stamp.

The weight of a source utterance is the density ratio target / source at its features; weighted by it, a mean over source
utterances is one over the target, if labels depend on features in both corpora alike (covariate shift).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ser.errors import TrainingError
from ser.train.loop.callbacks import Callback
from ser.train.loop.data import Data, Resident
from ser.train.loop.prediction import EVALUATION_ROWS, embeddings, logits
from ser.train.loop.validation import EpochScores, validate
from ser.train.nn.parameters import Parameters
from ser.train.nn.sequences import mean
from ser.workers.threads import one_thread

MOST = 2000  # utterances of a corpus that a ratio is estimated from
STRENGTH = 1.0  # of the logistic regression, scikit-learn's C, for features of a mean square of 1

Rows = NDArray[np.int64]
Array = NDArray[np.float64]


class TargetScores(Callback):
    """The scores of a selection for a target corpus.

    Args:
        data: features and rows; `oracle` alone reads labels of the target's rows.
        selection: its name.
        parameters: of the stack.

    Raises:
        TrainingError: rows that the selection needs are not given.
    """

    def __init__(self, data: Data, selection: str, parameters: Parameters) -> None:
        self.data, self.selection, self.parameters = data, selection, parameters
        rows = data.oracle if selection == "oracle" else data.unlabelled
        self.target: Rows = np.arange(0) if rows is None else rows
        if not len(self.target):
            kind = "labelled target validation rows" if selection == "oracle" else "unlabelled target rows"
            raise TrainingError(f"selection {selection} without {kind}", action="Use it in adaptation: ser adapt.")
        if selection in ("iwv", "dev") and not len(data.validation):
            raise TrainingError(f"selection {selection} without source validation rows")
        self.source = [thinned(own) for own in np.atleast_2d(data.train)]
        self.read_rows = np.unique(np.concatenate([*self.source, thinned(self.target), data.validation]))
        self.weights: list[Array] = []
        if selection == "iwv":
            values = pooled(data.resident, self.read_rows)
            each = [self._ratio(values, k) for k in range(len(self.source))]
            self.weights = each * len(parameters.theta) if len(each) == 1 else each

    def add_scores(self, scores: list[EpochScores], alive: list[int], validation: Tensor | None) -> None:
        """Add scores by name; those of a run that gives values that are not finite are not finite either."""
        if self.selection in ("iwv", "dev"):
            assert validation is not None
            found = self._risks(alive, validation)
        else:
            guess = logits(self.parameters, self.data, self.target)
            found = self._oracle(guess) if self.selection == "oracle" else self._information(guess)
        for score, more in zip(scores, found, strict=True):
            score.values.update(more)

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

    def _risks(self, alive: list[int], validation: Tensor) -> list[dict[str, float]]:
        labels = self.data.labels[self.data.validation]
        logp = validation.log_softmax(-1).cpu().numpy().astype(np.float64)
        losses = -logp[:, np.arange(len(labels)), labels]
        if self.selection == "dev":
            values = embeddings(self.parameters, self.data, self.read_rows).cpu().numpy()
            weights = [self._ratio(own.astype(np.float64), r) for own, r in zip(values, alive, strict=True)]
        else:
            weights = [self.weights[r] for r in alive]
        risk = controlled_risk if self.selection == "dev" else weighted_risk
        return [
            {f"selection_{self.selection}": risk(w, own), "selection_effective": effective(w) / len(w)}
            for w, own in zip(weights, losses, strict=True)
        ]

    def _ratio(self, values: Array, run: int) -> Array:
        """Weights of one run's validation rows, from values `(len(self.read_rows), D)`; NaN where one is not finite."""
        if not np.isfinite(values).all():
            return np.full(len(self.data.validation), np.nan)
        parts = (self.source[min(run, len(self.source) - 1)], thinned(self.target), self.data.validation)
        source, target, at = (values[np.searchsorted(self.read_rows, rows)] for rows in parts)
        return density_ratio(source, target, at)


def information(logits: Tensor) -> Tensor:
    """Mutual information of utterance and predicted class, H(mean p) - mean H(p) in nats, `(runs, rows, K)` -> `(runs,)`."""
    logp = logits.double().log_softmax(-1) if logits.device.type != "mps" else logits.log_softmax(-1)
    p = logp.exp()
    share = p.mean(1)
    return -torch.xlogy(share, share).sum(-1) + (p * logp).sum(-1).mean(-1)


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


def thinned(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most 2,000 of some rows, evenly spaced."""
    return rows[:: max(1, -(-len(rows) // MOST))]


def density_ratio(source: Array, target: Array, at: Array) -> Array:
    """p_target / p_source at some points, by logistic regression that tells the corpora apart.

    The ratio is n_s / n_t times the odds of target (Bickel et al., JMLR 2009, section 4). Features are standardised and divided
    by sqrt(D), so that the same L2 penalty means the same at any width; without one, corpora that can be told apart without an
    error would give weights of 0 and infinity.

    Args:
        source, target, at: `(n, D)`, `(m, D)`, `(k, D)`.

    Returns:
        `(k,)`.
    """
    from sklearn.linear_model import LogisticRegression

    both = np.concatenate([source, target])
    mean, deviation = both.mean(0), both.std(0)
    scale = np.where(deviation > 0, deviation, 1) * np.sqrt(both.shape[1])
    with one_thread():
        model = LogisticRegression(C=STRENGTH, max_iter=1000)
        model.fit((both - mean) / scale, np.repeat([0, 1], [len(source), len(target)]))
        odds = np.exp(model.decision_function((at - mean) / scale))
    return np.asarray(odds * len(source) / len(target))


def weighted_risk(weights: Array, losses: Array) -> float:
    """Mean of w L: importance-weighted validation (Sugiyama et al., JMLR 2007, equation 6)."""
    return float((weights * losses).mean())


def controlled_risk(weights: Array, losses: Array) -> float:
    """Deep embedded validation (You et al., ICML 2019): the weighted risk with the weights as a control variate.

    mean(w L) + eta mean(w) - eta, eta = -cov(w L, w) / var(w): as the mean of w is 1, this is the same in expectation, with the
    smallest variance among such sums. Equal weights leave the weighted risk as it is.
    """
    products = weights * losses
    variance = weights.var()
    if variance == 0:
        return float(products.mean())
    eta = -((products - products.mean()) * (weights - weights.mean())).mean() / variance
    return float(products.mean() + eta * weights.mean() - eta)


def effective(weights: Array) -> float:
    """The number of equally weighted utterances that the weights are worth, (sum w)^2 / sum w^2 (Kish 1965)."""
    return float(weights.sum() ** 2 / np.square(weights).sum())
