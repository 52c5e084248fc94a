"""One loop that trains a stack of runs: same data and shapes, each run with its own streams, stopping and best weights."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ser import registry
from ser.errors import TrainingError
from ser.train import streams
from ser.train.batches import Resident
from ser.train.config import Config
from ser.train.head import build
from ser.train.layers import Dropout
from ser.train.losses.cross_entropy import class_weights
from ser.train.parameters import Parameters, keep_state
from ser.train.schedule import factor
from ser.train.selection import Choice

EVALUATION_ROWS = 512


@dataclass(frozen=True, eq=False)
class Data:
    """What one stack is trained on.

    Attributes:
        resident: the features.
        labels: class number of every row, `(n,)`.
        classes: how many classes.
        train: training rows, `(m,)` for all runs, or `(runs, m)` for runs with training sets of their own.
        validation: validation rows; may be empty when the last epoch is taken.
    """

    resident: Resident
    labels: NDArray[np.int64]
    classes: int
    train: NDArray[np.int64]
    validation: NDArray[np.int64]


@dataclass(eq=False)
class Trained:
    """One run's outcome.

    Attributes:
        weights: of the chosen epoch, `(n,)`.
        epochs, best_epoch: epochs trained, and the chosen one (1-based).
        curves: one value an epoch: `loss` (training), `validation_loss`, `validation_UA`, `validation_WA`.
        notes: what a reader must know, a collapse for instance.
        seconds: of the stack, divided by its runs.
    """

    weights: Tensor
    epochs: int = 0
    best_epoch: int = 0
    curves: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


def train(data: Data, config: Config, seeds: Sequence[int], start: Tensor | None = None) -> list[Trained]:
    """Train one run a seed, together.

    Args:
        data: features, labels and rows.
        config: how.
        seeds: one a run; all randomness of a run comes from its seed.
        start: initial weights `(runs, n)` in place of random ones (fine-tuning).

    Raises:
        TrainingError: no training data of two classes, or a loss that is not finite.
    """
    return _Stack(data, config, list(seeds), start).run()


def predict(data: Data, config: Config, weights: Tensor, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Class probabilities of rows under trained weights.

    Args:
        weights: `(runs, n)`.

    Returns:
        `(runs, len(rows), classes)`.
    """
    parameters = _parameters(data, config, [0] * len(weights))
    parameters.load(weights)
    return _logits(parameters, data, rows).double().softmax(-1).cpu().numpy()


def _parameters(data: Data, config: Config, seeds: Sequence[int]) -> Parameters:
    options = dict(config.head_options)

    def start(seed: int) -> nn.Module:
        return build(config.head, data.resident.inputs, data.classes, options, streams.derive(seed, "init"))

    return Parameters([partial(start, s) for s in seeds], data.resident.device)


@torch.no_grad()
def _logits(parameters: Parameters, data: Data, rows: NDArray[np.int64]) -> Tensor:
    parameters.head.eval()
    runs = len(parameters.theta)
    out = torch.empty(runs, len(data.labels), data.classes, device=data.resident.device)
    for chunk in data.resident.chunks(rows, EVALUATION_ROWS):
        out[:, chunk] = parameters.head(data.resident.batch(chunk.expand(runs, -1)))
    return out[:, torch.as_tensor(rows, device=out.device)]


class _Stack:
    def __init__(self, data: Data, config: Config, seeds: list[int], start: Tensor | None) -> None:
        self.data, self.config, self.seeds = data, config, seeds
        self.device = data.resident.device
        self.labels = torch.as_tensor(data.labels, device=self.device)
        rows = torch.as_tensor(data.train, dtype=torch.long, device=self.device)
        self.rows = rows.expand(len(seeds), -1)
        self.parameters = _parameters(data, config, seeds)
        if start is not None:
            self.parameters.load(start.to(self.device))
        self.weights = self._class_weights()
        self.loss = registry.load("ser.train.losses", config.loss).loss
        self.optimiser = torch.optim.AdamW(
            [self.parameters.theta], lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        self.alive = list(range(len(seeds)))
        self.results = [Trained(self.parameters.row(r)) for r in range(len(seeds))]
        self.choices = [Choice(config.selection) for _ in seeds]
        self.steps = -(-self.rows.shape[1] // config.batch_size)
        self.step = 0

    def _class_weights(self) -> Tensor:
        counts = torch.stack([torch.bincount(self.labels[r], minlength=self.data.classes) for r in self.rows])
        if int((counts > 0).sum(1).min()) < 2:
            raise TrainingError(
                "the training part has fewer than two classes", action="Take more data or another scheme."
            )
        if self.config.class_weights == "none":
            return torch.ones_like(counts, dtype=torch.float32)
        return class_weights(counts)

    def run(self) -> list[Trained]:
        begin = time.perf_counter()
        for epoch in range(1, self.config.epochs + 1):
            losses = self._epoch(epoch)
            self._judge(epoch, losses)
            if not self.alive:
                break
        for result in self.results:
            result.seconds = (time.perf_counter() - begin) / len(self.results)
            _note_collapse(result, self.config)
        return self.results

    def _epoch(self, epoch: int) -> Tensor:
        """Train one epoch; the mean loss of each run that is alive."""
        head, seeds = self.parameters.head, [self.seeds[r] for r in self.alive]
        self._seed_dropout(seeds, epoch)
        head.train()
        order = streams.permutations(seeds, epoch, self.rows.shape[1]).to(self.device)
        rows = self.rows.gather(1, order)
        total = torch.zeros(len(seeds), device=self.device)
        for part in torch.split(rows, self.config.batch_size, dim=1):
            rate = factor(self.config.schedule, self.step, self.steps * self.config.epochs)
            self.optimiser.param_groups[0]["lr"] = self.config.lr * rate
            total += self._update(part) * part.shape[1]
            self.step += 1
        losses = total / rows.shape[1]
        if not bool(losses.isfinite().all()):
            raise TrainingError(
                f"the loss is not finite in epoch {epoch}",
                action="Lower --lr, or check the features: ser store verify.",
            )
        return losses

    def _update(self, rows: Tensor) -> Tensor:
        logits = self.parameters.head(self.data.resident.batch(rows))
        losses: Tensor = self.loss(logits, self.labels[rows], self.weights, smoothing=self.config.label_smoothing)
        self.parameters.gradient.zero_()
        losses.sum().backward()  # type: ignore[no-untyped-call]
        if self.config.clip:
            self.parameters.clip(self.config.clip)
        self.optimiser.step()
        return losses.detach()

    def _seed_dropout(self, seeds: list[int], epoch: int) -> None:
        if not self.parameters.leading:
            # An ordinary module draws from the global stream; its process has this run only.
            torch.manual_seed(streams.derive(seeds[0], "dropout", epoch))
        generators = [streams.generator(s, "dropout", epoch, device=self.device) for s in seeds]
        for module in self.parameters.head.modules():
            if isinstance(module, Dropout):
                module.generators = generators

    def _judge(self, epoch: int, losses: Tensor) -> None:
        """Score the epoch on validation, keep the best weights, and let finished runs leave the stack."""
        scores = self._validate() if len(self.data.validation) else [{} for _ in self.alive]
        stay = []
        for slot, r in enumerate(self.alive):
            result, score = self.results[r], scores[slot]
            result.epochs = epoch
            for name, value in {"loss": float(losses[slot]), **score}.items():
                if not name.endswith("_error"):
                    result.curves.setdefault(name, []).append(value)
            if self.choices[r].takes(score):
                result.best_epoch = epoch
                result.weights = self.parameters.row(slot)
            patience = self.config.patience
            if epoch < self.config.epochs and (not patience or epoch - result.best_epoch < patience):
                stay.append(slot)
        if len(stay) < len(self.alive):
            self._leave(stay)

    def _validate(self) -> list[dict[str, float]]:
        rows = self.data.validation
        logits = _logits(self.parameters, self.data, rows)
        labels = self.labels[torch.as_tensor(rows, device=self.device)].expand(len(logits), -1)
        flat = torch.ones_like(self.weights)
        losses = self.loss(logits, labels, flat, smoothing=0.0)
        hits = (logits.argmax(-1) == labels).double()
        there = torch.bincount(labels[0], minlength=self.data.classes)
        recall = torch.zeros(len(logits), self.data.classes, dtype=torch.double, device=self.device)
        recall.scatter_add_(1, labels, hits)
        classes = (there > 0).sum()
        ua = (recall / there.clamp_min(1)).sum(1) / classes
        # Standard errors, from recalls with one hit and one miss added, so that a recall of 1 on few is not held certain.
        share = (recall + 1) / (there + 2)
        ua_error = ((share * (1 - share) / (there + 2)) * (there > 0)).sum(1).sqrt() / classes
        wa = hits.mean(1)
        wa_error = (wa * (1 - wa) / len(rows)).sqrt()
        names = ("validation_loss", "validation_UA", "validation_WA", "validation_UA_error", "validation_WA_error")
        return [
            dict(zip(names, map(float, values), strict=True))
            for values in zip(losses, ua, wa, ua_error, wa_error, strict=True)
        ]

    def _leave(self, stay: list[int]) -> None:
        self.alive = [self.alive[s] for s in stay]
        if not stay:
            return
        index = torch.as_tensor(stay, device=self.device)
        old = self.parameters.theta
        self.parameters.theta = old.detach()[index].clone()
        self.parameters.bind()
        keep_state(self.optimiser, old, self.parameters.theta, index)
        self.rows, self.weights = self.rows[index], self.weights[index]


def _note_collapse(result: Trained, config: Config) -> None:
    scores = result.curves.get("validation_UA")
    if scores and len(scores) >= 3 and max(scores) == min(scores):
        result.notes.append(f"collapsed: validation UA stayed at {scores[0]:.3f} in all {len(scores)} epochs")
