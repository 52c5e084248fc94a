"""The loop that trains a stack of runs: same data and shapes, each run with its own streams, stopping and best weights."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ser.accelerator import exact
from ser.errors import TrainingError
from ser.train.loop.augmentation import Augment, ViewDraws, is_augmented
from ser.train.loop.averaging import Average, SnapshotEnsemble, first_averaged
from ser.train.loop.callbacks import Callback, Step
from ser.train.loop.config import TARGET, Config
from ser.train.loop.data import Data, Trained, not_finite
from ser.train.loop.freezing import FrozenWeights
from ser.train.loop.handover import Handover
from ser.train.loop.objective import Alignment, Tap, Targets, target_rows, trainable
from ser.train.loop.optimisation import AdamW, cycle_ends, rate
from ser.train.loop.prediction import logits
from ser.train.loop.target_selection import TargetScores
from ser.train.loop.validation import Collapse, EpochChoice, EpochScores, validate_target
from ser.train.nn import streams
from ser.train.nn.layers import Dropout, Features
from ser.workers.thread_pool import go_on

# Given a run's number in the stack, the epoch that has ended, and whether the run goes on: the error with which it leaves.
Judge: TypeAlias = Callable[[int, int, Trained, bool], TrainingError | None]


def train(
    data: Data,
    config: Config,
    seeds: Sequence[int],
    start: Tensor | None = None,
    judge: Judge | None = None,
    handover: Handover | None = None,
) -> list[Trained]:
    """Train one run for each seed, together.

    A run that diverges leaves the stack in that epoch, with its `error`; the others are as they would be without it.

    Args:
        data: features, labels and rows.
        config: of the training.
        seeds: one for each run; all randomness of a run comes from its seed.
        start: initial weights `(runs, n)` in place of random ones (fine-tuning); of snapshots, the last.
        judge: decides after each epoch whether a run leaves, with its `error`.
        handover: where a run, which is trained alone, is taken over from another worker, or left to it.

    Raises:
        TrainingError: no training data of two classes, or rows or weights that the configuration needs are not given.
    """
    with exact(data.resident.device):
        return Stack(data, config, list(seeds), start, judge).run(handover)


class Stack:
    """Runs that are trained together."""

    def __init__(self, data: Data, config: Config, seeds: list[int], start: Tensor | None, judge: Judge | None = None) -> None:
        self.data, self.config, self.seeds, self.judge = data, config, seeds, judge
        if not len(data.validation) and config.selection not in ("last", *TARGET):
            raise TrainingError(
                f"selection by {config.selection} without validation rows",
                expected="one or more that have a label",
                action="Take --selection last, or another --protocol or --validation.",
                option="selection",
            )
        self.device = data.resident.device
        rows = torch.as_tensor(data.train, dtype=torch.long, device=self.device).expand(len(seeds), -1)
        self.parameters, self.beside = trainable(data, config, seeds)
        if start is not None:
            self.parameters.load(start.chunk(config.snapshots, dim=1)[-1].to(self.device))
        self.targets = Targets(data, rows, config, self.beside.objective.reads_vad)
        self.callbacks = callbacks(self, rows, given=start is not None)
        self.optimiser = AdamW(self.parameters.theta, config.weight_decay)
        lower = config.precision == "bfloat16"
        self.cast = torch.autocast(torch.device(self.device).type, torch.bfloat16) if lower else nullcontext()
        # An ordinary module draws from the process's generator, which each epoch seeds: it is this run's until its end.
        self.drawing = nullcontext() if self.parameters.leading else streams.PROCESS
        self.alive = list(range(len(seeds)))
        self.results = [Trained(self.parameters.row(r)) for r in range(len(seeds))]
        self.choices = [EpochChoice(config.selection) for _ in seeds]
        self.collapses = [Collapse() for _ in seeds]
        self.units = data.resident.units(rows)
        self.steps = -(-self.units.shape[1] // config.batch_size)
        self.step = 0  # of the whole training
        self.ends = cycle_ends(config.epochs, config.snapshots)
        # With `swa` the learning rate stays where it was when averaging began.
        self.last_moving = (first_averaged(config.epochs) - 1) * self.steps if config.average == "swa" else None
        self.first = max((c.first for c in self.callbacks), default=1)

    def run(self, handover: Handover | None = None) -> list[Trained]:
        """Train until all runs have stopped, or until the epoch at which another worker takes over."""
        if handover is None or handover.until is None:
            return self._run(handover)
        with handover.held():
            return self._run(handover)

    def _run(self, handover: Handover | None) -> list[Trained]:
        begun = None if handover is None else handover.read()
        begin = time.perf_counter()
        done = 0 if begun is None else self._restore(begun)
        until = self.config.epochs if handover is None else handover.until or self.config.epochs
        for epoch in range(done + 1, until + 1):
            with self.drawing:
                means = self.train_epoch(epoch)
            losses = self._without_diverged(epoch, means)
            if not self.alive:
                break
            for callback in self.callbacks:
                callback.end_epoch(epoch)
            with ExitStack() as judged:
                for callback in self.callbacks:
                    judged.enter_context(callback.judged())
                stay = self._judge(epoch, losses)
            self._keep(stay)
            if not self.alive:
                break
        seconds = (time.perf_counter() - begin) / len(self.results)
        if handover is not None and handover.until is not None:
            self.results[0].seconds += seconds
            if self.results[0].error is None:  # one that diverged is trained anew, and diverges again
                handover.write(self._state(max(done, until)))
            return self.results
        for result, collapse in zip(self.results, self.collapses, strict=True):
            result.seconds += seconds
            result.notes += collapse.notes(self.data.names, result.epochs)
        return self.results

    def _state(self, epoch: int) -> dict[str, Any]:
        """All that a training of one run remembers after an epoch, see `ser.train.loop.handover`."""
        return {
            "epoch": epoch if self.alive else self.config.epochs,
            "weights": [self.parameters.theta.detach(), *self.parameters.buffers],
            "moments": [self.optimiser.mean, self.optimiser.square, self.optimiser.steps],
            "step": self.step,
            "known": [vars(known) for known in self._known()],
        }

    def _restore(self, state: dict[str, Any]) -> int:
        """Go on from a state; the epochs that are done."""
        own = [self.parameters.theta, *self.parameters.buffers]
        own += [self.optimiser.mean, self.optimiser.square, self.optimiser.steps]
        with torch.no_grad():
            for tensor, value in zip(own, [*state["weights"], *state["moments"]], strict=True):
                tensor.copy_(value)
        for known, values in zip(self._known(), state["known"], strict=True):
            known.__dict__.update(values)
        self.step = state["step"]
        return int(state["epoch"])

    def _known(self) -> tuple[Trained, EpochChoice, Collapse]:
        return self.results[0], self.choices[0], self.collapses[0]

    def train_epoch(self, epoch: int) -> dict[str, Tensor]:
        """Train one epoch (1-based); the mean losses of each run, `(runs,)`, by the names of their curves."""
        batches = self.begin_epoch(epoch)
        total: dict[str, Tensor] = {}
        for number, (units, features) in enumerate(self.data.resident.batches(batches, self._rows)):
            for name, loss in self.update(units, number, features).items():
                total[name] = total.get(name, 0) + loss * units.shape[1]
        count = sum(units.shape[1] for units in batches)
        return {name: loss / count for name, loss in total.items()}

    def begin_epoch(self, epoch: int) -> Sequence[Tensor]:
        """Start the random streams of an epoch; the units `(runs, batch, ...)` of each of its steps."""
        seeds = [self.seeds[r] for r in self.alive]
        self._seed_dropout(seeds, epoch)
        for callback in self.callbacks:
            callback.begin_epoch(seeds, epoch, self.steps)
        self.parameters.head.train()
        order = streams.permutations(seeds, epoch, self.units.shape[1]).to(self.device)
        units = self.units.take_along_dim(order.view(*order.shape, *[1] * (self.units.ndim - 2)), dim=1)
        batches: Sequence[Tensor] = torch.split(units, self.config.batch_size, dim=1)
        for callback in self.callbacks:
            batches = callback.batches(batches)
        return batches

    def update(self, units: Tensor, number: int, features: Features | None = None) -> dict[str, Tensor]:
        """Take one step, of this number in its epoch (0-based); each run's losses, `(runs,)`, by the names of their curves.

        Args:
            features: of these units; None takes them from the data.
        """
        go_on()
        progress = self.step / (self.steps * self.config.epochs)
        step = Step(number, progress, features or self.data.resident.batch(units, self._rows))
        for callback in self.callbacks:
            callback.before_forward(step)
        self.parameters.gradients.clear()
        with self.cast:
            out, step.rows = self.data.resident.flat(self.parameters.head(step.features), units)
        step.logits = out.float()
        for callback in self.callbacks:
            callback.after_forward(step)
        batch = self.targets.batch(step.rows, step.logits, step.embedding)
        step.losses["loss"] = 1.0, self.beside.objective(batch, step.share)
        for callback in self.callbacks:
            callback.add_losses(step)
        (_, aim), *added = step.losses.values()
        for factor, loss in added:
            aim = aim + factor * loss
        aim.sum().backward()  # type: ignore[no-untyped-call]
        self.parameters.gradients.settle()
        divisor = self.parameters.gradients.clip(self.config.clip) if self.config.clip else None
        share = rate(self.config.schedule, self.step, self.steps, self.ends, self.last_moving)
        self.optimiser.step(self.config.lr * share, divisor, self.parameters.gradients)
        self.beside.objective.after_step()
        self.step += 1
        for callback in self.callbacks:
            callback.after_step()
        return {name: loss.detach() for name, (_, loss) in step.losses.items()}

    def _rows(self, store: str, rows: Tensor) -> Tensor:
        for callback in self.callbacks:
            rows = callback.rows(store, rows)
        return rows

    def _seed_dropout(self, seeds: list[int], epoch: int) -> None:
        if not self.parameters.leading:
            torch.manual_seed(streams.derive(seeds[0], "dropout", epoch))
        generators = streams.dropout(seeds, epoch, self.device)
        for module in (*self.parameters.head.modules(), *self.beside.modules()):
            if isinstance(module, Dropout):
                module.generators = generators

    def _without_diverged(self, epoch: int, losses: dict[str, Tensor]) -> dict[str, list[float]]:
        """The losses of the runs that go on.

        Runs whose losses or weights are not finite leave before they are judged, as some scores are computed for the stack as
        a whole.
        """
        stay = []
        table = torch.stack(list(losses.values()))
        checks = torch.stack([table.isfinite().all(0), self.parameters.finite()]).T.tolist()
        for slot, (loss, weights) in enumerate(checks):
            if loss and weights:
                stay.append(slot)
            else:
                self._fail(slot, epoch, "the weights are" if loss else "the loss is")
        self._keep(stay)
        return dict(zip(losses, table[:, stay].tolist(), strict=True))

    def _fail(self, slot: int, epoch: int, what: str) -> None:
        result = self.results[self.alive[slot]]
        result.error = not_finite(what, epoch)
        result.weights = torch.cat([self.parameters.row(slot)] * self.config.snapshots).fill_(math.nan)

    def _judge(self, epoch: int, losses: dict[str, list[float]]) -> list[int]:
        """Score the epoch and keep the best weights; the slots of the runs that go on."""
        scores, guess = self._scores()
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
            if epoch >= self.first and self.choices[r].takes(score.values):
                result.best_epoch = epoch
                result.weights = own = self.parameters.row(slot)
                for callback in self.callbacks:
                    result.weights = callback.chosen(r, epoch, result.weights)
                known = None if guess is None or result.weights is not own else guess[slot].clone()
                result.validated = None if known is None else (torch.as_tensor(self.data.validation), known)
            waited = epoch - max(result.best_epoch, self.first - 1)
            going = epoch < self.config.epochs and (not self.config.patience or waited < self.config.patience)
            if self.judge is not None:
                result.error = self.judge(r, epoch, result, going)
            if going and result.error is None:
                stay.append(slot)
        return stay

    def _scores(self) -> tuple[list[EpochScores], Tensor | None]:
        """Scores of each run on the validation rows, where there are any, and those that callbacks add; the rows' logits."""
        rows, guess, scores = self.data.validation, None, [EpochScores({}) for _ in self.alive]
        if len(rows):
            guess = logits(self.parameters, self.data, rows)
            where = torch.as_tensor(rows, device=self.device)
            labels, values = self.targets.labels[where], self.targets.values
            own = None if values is None else values[where]
            scores = validate_target(guess, labels, own, self.data.classes, self.config.target)
        for callback in self.callbacks:
            callback.add_scores(scores, self.alive, guess)
        return scores, guess

    def _keep(self, stay: list[int]) -> None:
        """Keep the runs in these slots only: the others cost nothing from here on."""
        if len(stay) == len(self.alive):
            return
        self.alive = [self.alive[s] for s in stay]
        if not stay:
            return
        index = torch.as_tensor(stay, device=self.device)
        self.parameters.keep(index)
        self.optimiser.keep(index, self.parameters.theta)
        self.units = self.units[index]
        self.targets.keep(index)
        self.beside.objective.keep(index)
        for callback in self.callbacks:
            callback.keep(index)


def callbacks(stack: Stack, rows: Tensor, given: bool) -> list[Callback]:
    """The optional parts of a training, in the order in which they act at each moment.

    Args:
        rows: training rows, `(runs, m)`.
        given: the weights are given, and not random.
    """
    data, config, parameters, method = stack.data, stack.config, stack.parameters, stack.beside.method
    target = target_rows(data, config.adapt)
    parts: list[Callback | None] = [
        Tap(parameters.head) if stack.beside.reads_embedding else None,
        None if data.views is None else ViewDraws(data.views, rows),
        Augment(config, data.resident.inputs, stack.device) if is_augmented(config) else None,
        None if method is None or target is None else Alignment(method, target),
        FrozenWeights(parameters, given) if config.freeze != "none" else None,
        Average(config.average, parameters, config.epochs) if config.average != "none" else None,
        SnapshotEnsemble(cycle_ends(config.epochs, config.snapshots), len(stack.seeds)) if config.snapshots > 1 else None,
        TargetScores(data, config.selection, parameters) if config.selection in TARGET else None,
    ]
    return [part for part in parts if part is not None]
