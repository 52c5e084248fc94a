"""Scores of an epoch on validation data, the epoch that they choose, and the collapse to one class that they may show."""

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ser.metadata.targets import MIXED
from ser.results.metrics.classification import f1, ua, wa
from ser.train.loop.config import LOWEST, TARGET
from ser.train.losses.cross_entropy import loss
from ser.train.losses.vad import batch_ccc

COLLAPSE = 3  # epochs in a row with one predicted class


class EpochScores(NamedTuple):
    """One run's epoch: scores by name, and the only class that was predicted (None where there are several)."""

    values: dict[str, float]
    only: int | None = None


@torch.no_grad()
def validate(logits: Tensor, labels: Tensor, classes: int) -> list[EpochScores]:
    """Scores of each run: `validation_loss`, `validation_UA`, `validation_WA`, and standard errors `..._error` of the last two.

    The loss is plain cross-entropy, without weights and smoothing, whatever the loss of training. Everything is computed on the
    device and fetched at once.

    Args:
        logits: `(runs, rows, classes)`.
        labels: `(rows,)`.
    """
    runs, rows = logits.shape[:2]
    each = labels.expand(runs, -1)
    losses = loss(logits, each, torch.ones(runs, classes, device=logits.device))
    guesses = logits.argmax(-1)
    wide = torch.float32 if logits.device.type == "mps" else torch.float64  # Apple's GPUs have no double precision
    hits = torch.zeros(runs, classes, dtype=wide, device=logits.device)
    hits.scatter_add_(1, each, (guesses == each).to(wide))
    support = torch.bincount(labels, minlength=classes)
    right = wa(hits, support)
    only = torch.where((guesses == guesses[:, :1]).all(1), guesses[:, 0], -1)
    columns = (losses, ua(hits, support), right, _ua_error(hits, support), (right * (1 - right) / rows).sqrt(), only)
    table = torch.stack([v.to(wide) for v in columns], dim=1).tolist()
    names = ("validation_loss", "validation_UA", "validation_WA", "validation_UA_error", "validation_WA_error")
    return [
        EpochScores(dict(zip(names, values, strict=True)), int(last) if last >= 0 and rows > 1 else None)
        for *values, last in table
    ]


@torch.no_grad()
def validate_target(logits: Tensor, labels: Tensor, values: Tensor | None, classes: int, target: str) -> list[EpochScores]:
    """Scores of each run for any kind of target: as `validate`, or the metric that picks the epoch, its error and a loss.

    Of a class and dimensions, scores are those of the classes, and the loss is the sum of both.

    The loss is plain: of votes their cross-entropy, of labels binary cross-entropy, of dimensions the mean squared error in
    standard deviations of the training part.

    Args:
        logits: `(runs, rows, outputs)`.
        labels: `(rows,)`.
        values: `(rows, outputs)`, of a class and dimensions `(rows, dimensions)`; None for classes.
    """
    if values is None:
        return validate(logits, labels, classes)
    wide = torch.float32 if logits.device.type == "mps" else torch.float64
    guess, truth = logits.to(wide), values.to(wide)
    if target == "votes":
        soft: list[float] = (truth * guess.log_softmax(-1)).sum(-1).mean(-1).neg().tolist()
        return [
            s._replace(values={**s.values, "validation_loss": loss})
            for s, loss in zip(validate(logits, labels, classes), soft, strict=True)
        ]
    if target == MIXED:
        both = (guess[..., classes:] - truth).square().mean((-1, -2)).tolist()
        return [
            s._replace(values={**s.values, "validation_loss": s.values["validation_loss"] + more})
            for s, more in zip(validate(logits[..., :classes], labels, classes), both, strict=True)
        ]
    if target == "labels":
        losses = F.binary_cross_entropy_with_logits(guess, truth.expand_as(guess), reduction="none").mean((-1, -2))
        score, each = _label_f1(guess > 0, truth > 0.5)
        name, error = "validation_F1_macro", (each * (1 - each) / len(truth)).sum(-1).sqrt() / classes
    else:
        losses = (guess - truth).square().mean((-1, -2))
        own = batch_ccc(guess, truth.expand_as(guess), torch.ones_like(guess, dtype=torch.bool))
        score, name = own.mean(-1), "validation_CCC"
        # Of a correlation of n pairs, Fisher's standard error.
        error = ((1 - own.square()) / max(1, len(truth) - 1) ** 0.5).square().sum(-1).sqrt() / classes
    table = torch.stack([losses, score, error], dim=1).tolist()
    return [EpochScores({"validation_loss": a, name: b, f"{name}_error": c}) for a, b, c in table]


def _label_f1(guess: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Mean F1 over the labels that are in the truth or predicted, `(runs,)`, and that of each, `(runs, labels)`."""
    hits = (guess & truth).sum(-2).double()
    either = guess.sum(-2) + truth.sum(-2)
    each = f1(hits, either)
    return each.sum(-1) / (either > 0).sum(-1).clamp_min(1), each


def _ua_error(hits: Tensor, support: Tensor) -> Tensor:
    """The standard error of UA, `(runs,)`, with one hit and one miss added to each class.

    Without these a recall of 1 on few utterances would have no error.
    """
    share = (hits + 1) / (support + 2)
    there = support > 0
    return ((share * (1 - share) / (support + 2)) * there).sum(1).sqrt() / there.sum()


@dataclass
class EpochChoice:
    """The epoch kept so far in one run.

    `loss` takes the lowest validation loss, `last` the last epoch. `UA` and `WA` follow the one-standard-error rule
    (Breiman et al. 1984): scores within one standard error of the highest count as equal, and among those the lowest loss
    decides. A validation part of one speaker has a standard error of several points, and the highest of sixty such scores
    is mostly chance; on a large one the rule is the plain maximum. Weights of epochs that were passed over are not kept, so a
    higher score later on does not bring them back.

    `entropy`, `iwv` and `dev` take the best score for the target (`ser.train.loop.target_selection`), without a rule for
    ties: their errors are not known. `oracle` follows the rule of `UA`, with UA and loss of labelled target rows.

    Attributes:
        selection: its name.
        highest, error: the highest score so far and its standard error.
        score, loss: of the epoch kept.
    """

    selection: str
    highest: float = -inf
    error: float = 0.0
    score: float = -inf
    loss: float = inf

    def takes(self, scores: dict[str, float]) -> bool:
        """Decide on the epoch with these scores: True to keep it.

        Args:
            scores: `validation_loss`, and for UA and WA the score and its standard error, `validation_UA_error`; for a target
                `selection_NAME`, and for `oracle` its `selection_oracle_error` and `oracle_loss`.
        """
        if self.selection == "last":
            return True
        if self.selection in TARGET and self.selection != "oracle":
            return self._better(scores[f"selection_{self.selection}"])
        name, loss = f"validation_{self.selection}", scores.get("validation_loss", inf)
        if self.selection == "oracle":
            name, loss = "selection_oracle", scores["oracle_loss"]
        if self.selection == "loss":
            taken = loss < self.loss
            score = 0.0
        else:
            score = scores[name]
            if score > self.highest:
                self.highest, self.error = score, scores[f"{name}_error"]
            bound = self.highest - self.error
            taken = self.score < bound or (score >= bound and loss < self.loss)
        if taken:
            self.score, self.loss = score, loss
        return taken

    def _better(self, score: float) -> bool:
        """True for the best score so far."""
        value = -score if self.selection in LOWEST else score
        taken = value > self.score
        self.score = max(value, self.score)
        return taken


def account(selection: str) -> str:
    """The way in which the epoch was chosen, for a run's record."""
    return "last epoch" if selection == "last" else TARGET.get(selection, f"validation {selection}")


@dataclass
class Collapse:
    """A watch over one run's epochs: spells of at least three epochs in which all of validation is predicted one class.

    Attributes:
        spells: `(class, first epoch, last epoch)` of those found.
    """

    spells: list[tuple[int, int, int]] = field(default_factory=list)
    current: tuple[int, int] | None = None  # class, first epoch

    def see(self, epoch: int, only: int | None) -> None:
        """Take in an epoch (1-based) and the only class that it predicts, if so."""
        if only is None or (self.current and self.current[0] != only):
            self.current = None
        if only is None:
            return
        self.current = self.current or (only, epoch)
        first = self.current[1]
        if epoch - first + 1 >= COLLAPSE:
            found = (only, first, epoch)
            goes_on = bool(self.spells) and self.spells[-1][:2] == found[:2]
            self.spells = [*(self.spells[:-1] if goes_on else self.spells), found]

    def notes(self, names: tuple[str, ...], epochs: int) -> list[str]:
        """One sentence for each spell.

        Args:
            names: of the classes; () gives their numbers.
            epochs: that the run was trained.
        """
        said = []
        for only, first, last in self.spells:
            name = names[only] if names else f"class {only}"
            when = f"from epoch {first} on" if last == epochs else f"in epochs {first} to {last}, then recovered"
            said.append(f"collapsed: every validation utterance is predicted {name} {when}")
        return said
