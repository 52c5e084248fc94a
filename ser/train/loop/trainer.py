"""One loop that trains a stack of runs: same data and shapes, each run with its own streams, stopping and best weights."""

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from ser.accelerator import exact
from ser.train.loop import adaptation, objective
from ser.train.loop.augmentation import augmentation
from ser.train.loop.averaging import Average, first_averaged
from ser.train.loop.config import Config
from ser.train.loop.data import Data, Trained
from ser.train.loop.forward import logits, predict, trainable
from ser.train.loop.freezing import Kept
from ser.train.loop.optimiser import AdamW
from ser.train.loop.schedule import cycle_ends, rate
from ser.train.loop.selection import Choice
from ser.train.loop.target_criteria import criterion
from ser.train.loop.targets import Targets
from ser.train.loop.validation import Collapse, Score, validate
from ser.train.loop.view_draws import Drawn
from ser.train.nn import streams
from ser.train.nn.layers import Dropout
from ser.train.runs.divergence import not_finite


def train(data: Data, config: Config, seeds: Sequence[int], start: Tensor | None = None) -> list[Trained]:
    """Train one run a seed, together.

    A run that diverges leaves the stack in that epoch, with its `error`; the others are as they would be without it.

    Args:
        data: features, labels and rows.
        config: how.
        seeds: one a run; all randomness of a run comes from its seed.
        start: initial weights `(runs, n)` in place of random ones (fine-tuning); of snapshots, the last.

    Raises:
        TrainingError: no training data of two classes, or no rows or weights for what is asked.
    """
    with exact(data.resident.device):
        return Stack(data, config, list(seeds), start).run()


class Stack:
    """Runs that are trained together, between their epochs."""

    def __init__(self, data: Data, config: Config, seeds: list[int], start: Tensor | None) -> None:
        self.data, self.config, self.seeds = data, config, seeds
        self.device = data.resident.device
        rows = torch.as_tensor(data.train, dtype=torch.long, device=self.device).expand(len(seeds), -1)
        self.unlabelled = adaptation.rows_of(config.adapt, data.unlabelled, self.device)
        self.parameters, self.objective = trainable(data, config, seeds)
        self.criterion = criterion(data, config.selection, len(seeds))
        self.tap = objective.Tap(self.parameters.head) if self.objective.reads_embedding else None
        if start is not None:
            self.parameters.load(start.chunk(config.snapshots, dim=1)[-1].to(self.device))
        self.kept = Kept(self.parameters, start is not None) if config.freeze != "none" else None
        self.targets = Targets(data, rows, config, self.objective.reads_vad)
        self.augment = augmentation(config, data.resident.inputs, self.device)
        self.drawn = None if data.views is None else Drawn(data.views, rows)
        self.average = None if config.average == "none" else Average(config.average, self.parameters, config.epochs)
        self.optimiser = AdamW(self.parameters.theta, config.weight_decay)
        self.lr = config.lr
        lower = config.precision == "bfloat16"
        self.cast = torch.autocast(torch.device(self.device).type, torch.bfloat16) if lower else nullcontext()
        self.alive = list(range(len(seeds)))
        self.results = [Trained(self.parameters.row(r)) for r in range(len(seeds))]
        self.choices = [Choice(config.selection) for _ in seeds]
        self.collapses = [Collapse() for _ in seeds]
        self.snapshots: list[list[Tensor]] = [[] for _ in seeds]
        self.ends = cycle_ends(config.epochs, config.snapshots)
        self.units = data.resident.units(rows)
        self.steps = -(-self.units.shape[1] // config.batch_size)
        self.step = 0
        # With `swa` the learning rate stays where it was when averaging began.
        self.last_moving = (first_averaged(config.epochs) - 1) * self.steps if config.average == "swa" else None

    def run(self) -> list[Trained]:
        """Train until all runs have stopped."""
        begin = time.perf_counter()
        for epoch in range(1, self.config.epochs + 1):
            losses = self._epoch(epoch)
            if not self.alive:
                break
            if self.average is not None:
                self.average.after_epoch(epoch)
            with nullcontext() if self.average is None else self.average.applied():
                stay = self._judge(epoch, losses)
            self._leave(stay)
            if not self.alive:
                break
        seconds = (time.perf_counter() - begin) / len(self.results)
        for result, collapse in zip(self.results, self.collapses, strict=True):
            result.seconds = seconds
            result.notes += collapse.notes(self.data.names, result.epochs)
        return self.results

    def _epoch(self, epoch: int) -> dict[str, list[float]]:
        """Train one epoch; the mean losses of each run that is still alive after it, by the names of their curves."""
        seeds = [self.seeds[r] for r in self.alive]
        self._seed_dropout(seeds, epoch)
        if self.augment is not None:
            self.augment.begin(seeds, epoch, self.steps)
        if self.drawn is not None:
            self.drawn.begin(seeds, epoch)
        self.parameters.head.train()
        order = streams.permutations(seeds, epoch, self.units.shape[1]).to(self.device)
        units = self.units.take_along_dim(order.view(*order.shape, *[1] * (self.units.ndim - 2)), dim=1)
        batches = torch.split(units, self.config.batch_size, dim=1)
        if self.unlabelled is not None:  # each batch is followed by as many rows of the target
            drawn = streams.cyclic(seeds, len(self.unlabelled), (epoch - 1) * units.shape[1], units.shape[1])
            target = torch.split(self.unlabelled[drawn.to(self.device)], self.config.batch_size, dim=1)
            batches = tuple(torch.cat(pair, dim=1) for pair in zip(batches, target, strict=True))
        total = torch.zeros(1 if self.unlabelled is None else 2, len(seeds), device=self.device)
        for step, part in enumerate(batches):
            share = rate(self.config.schedule, self.step, self.steps, self.ends, self.last_moving)
            self.lr = self.config.lr * share
            total += self._update(part, step) * part.shape[1]
            self.step += 1
        found = self._without_diverged(epoch, total / sum(b.shape[1] for b in batches))
        return dict(zip(("loss", "adaptation_loss"), found, strict=False))

    def _without_diverged(self, epoch: int, losses: Tensor) -> list[list[float]]:
        """The losses `(1 or 2, runs)` of the runs that go on: those whose losses or weights are not finite leave before they
        are judged, as some scores are computed for the stack as a whole."""
        stay = []
        checks = torch.stack([losses.isfinite().all(0), self.parameters.finite()]).T.tolist()
        for slot, (loss, weights) in enumerate(checks):
            if loss and weights:
                stay.append(slot)
            else:
                self._fail(slot, epoch, "the weights are" if loss else "the loss is")
        self._leave(stay)
        kept: list[list[float]] = losses[:, stay].tolist()
        return kept

    def _fail(self, slot: int, epoch: int, what: str) -> None:
        result = self.results[self.alive[slot]]
        result.error = not_finite(what, epoch)
        result.weights = torch.cat([self.parameters.row(slot)] * self.config.snapshots).fill_(math.nan)

    def _update(self, units: Tensor, step: int) -> Tensor:
        batch, share = self.data.resident.batch(units, self.drawn), None
        if self.augment is not None:
            batch, share = self.augment(batch, step)
        self.parameters.clear()
        with self.cast:
            guess, rows = self.data.resident.flat(self.parameters.head(batch), units)
        losses, aim = self._losses(rows, guess.float(), None if self.tap is None else self.tap.take().float(), share)
        aim.sum().backward()  # type: ignore[no-untyped-call]
        self.parameters.settle()
        self.optimiser.step(self.lr, self.parameters.clip(self.config.clip) if self.config.clip else None)
        if self.kept is not None:
            self.kept.restore()
        if self.average is not None:
            self.average.after_step()
        return losses

    def _losses(
        self, rows: Tensor, guess: Tensor, embedding: Tensor | None, share: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Each run's losses, `(1 or 2, runs)`, and what is to be minimised, `(runs,)`.

        With adaptation the second half of the batch is of the target; its rows are read by nothing but features.
        """
        method = self.objective.adaptation
        if method is None or embedding is None:
            loss: Tensor = self.objective(self.targets.batch(rows, guess, embedding), share)
            return loss.detach()[None], loss
        (own, _), halves = rows.chunk(2, dim=1), zip(embedding.chunk(2, dim=1), guess.chunk(2, dim=1), strict=True)
        source, target = (adaptation.View(*half) for half in halves)
        loss = self.objective(self.targets.batch(own, source.logits, source.embedding))
        progress = self.step / (self.steps * self.config.epochs)
        distance: Tensor = method(source, target, progress)
        return torch.stack([loss.detach(), distance.detach()]), loss + method.factor(progress) * distance

    def _seed_dropout(self, seeds: list[int], epoch: int) -> None:
        if not self.parameters.leading:
            # An ordinary module draws from the global stream; its process has this run only.
            torch.manual_seed(streams.derive(seeds[0], "dropout", epoch))
        generators = streams.dropout(seeds, epoch, self.device)
        for module in (*self.parameters.head.modules(), *self.objective.modules()):
            if isinstance(module, Dropout):
                module.generators = generators

    def _judge(self, epoch: int, losses: dict[str, list[float]]) -> list[int]:
        """Score the epoch and keep the best weights; the slots of the runs that go on."""
        scores = self._scores()
        first = 1 if self.average is None else self.average.first
        stay = []
        for slot, r in enumerate(self.alive):
            result, score = self.results[r], scores[slot]
            wrong = [name for name, value in score.values.items() if not math.isfinite(value)]
            if wrong:
                self._fail(slot, epoch, f"the {wrong[0].replace('_', ' ')} is")
                continue
            result.epochs = epoch
            for name, value in {**{n: v[slot] for n, v in losses.items()}, **score.values}.items():
                if not name.endswith("_error") and name != "oracle_loss":
                    result.curves.setdefault(name, []).append(value)
            self.collapses[r].see(epoch, score.only)
            if epoch >= first and self.choices[r].takes(score.values):
                result.best_epoch = epoch
                result.weights = self._chosen(slot, epoch)
            waited = epoch - max(result.best_epoch, first - 1)
            if epoch < self.config.epochs and (not self.config.patience or waited < self.config.patience):
                stay.append(slot)
        return stay

    def _chosen(self, slot: int, epoch: int) -> Tensor:
        """The weights of this epoch, or those of all snapshots so far."""
        weights = self.parameters.row(slot)
        if self.config.snapshots == 1:
            return weights
        kept = self.snapshots[self.alive[slot]]
        if epoch in self.ends:
            kept.append(weights)
        return torch.cat(kept) if len(kept) == self.config.snapshots else weights

    def _scores(self) -> list[Score]:
        """Of each run: on the validation rows, where there are any, and on a target corpus, where the selection asks for it."""
        rows, guess, scores = self.data.validation, None, [Score({}) for _ in self.alive]
        if len(rows):
            guess = logits(self.parameters, self.data, rows)
            labels = self.targets.labels[torch.as_tensor(rows, device=self.device)]
            scores = validate(guess, labels, self.data.classes)
        if self.criterion is not None:
            for score, more in zip(scores, self.criterion(self.parameters, self.alive, guess), strict=True):
                score.values.update(more)
        return scores

    def _leave(self, stay: list[int]) -> None:
        """Keep the runs in these slots only: the others cost nothing from here on."""
        if len(stay) == len(self.alive):
            return
        self.alive = [self.alive[s] for s in stay]
        if not stay:
            return
        index = torch.as_tensor(stay, device=self.device)
        self.parameters.theta = self.parameters.theta.detach()[index]
        self.parameters.bind()
        self.optimiser.keep(index, self.parameters.theta)
        self.units = self.units[index]
        self.targets.keep(index)
        if self.drawn is not None:
            self.drawn.keep(index)
        if self.kept is not None:
            self.kept.keep(index)
        if self.average is not None:
            self.average.keep(index)


__all__ = ["Data", "Trained", "predict", "train"]
