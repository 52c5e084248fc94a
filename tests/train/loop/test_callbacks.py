"""Optional parts of training: the moments at which the loop calls them, in their order, and what they may change."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from ser.train.loop import trainer
from ser.train.loop.callbacks import Callback, Step
from ser.train.loop.config import make_config
from ser.train.loop.data import Data
from ser.train.loop.validation import EpochScores


class Recorder(Callback):
    """Notes each moment, and changes nothing but a loss and a score of its own."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def begin_epoch(self, seeds: Sequence[int], epoch: int, steps: int) -> None:
        self.seen.append(f"begin {epoch}")

    def batches(self, batches: Sequence[Tensor]) -> Sequence[Tensor]:
        self.seen.append(f"batches {len(batches)}")
        return batches

    def rows(self, store: str, rows: Tensor) -> Tensor:
        self.seen.append(f"rows {store}")
        return rows

    def before_forward(self, step: Step) -> None:
        self.seen.append(f"before {step.number}")

    def after_forward(self, step: Step) -> None:
        assert step.logits.shape[:2] == step.rows.shape
        self.seen.append("after")

    def add_losses(self, step: Step) -> None:
        self.seen.append("losses")
        step.losses["size"] = 0.0, step.logits.square().mean((1, 2))

    def after_step(self) -> None:
        self.seen.append("step")

    def end_epoch(self, epoch: int) -> None:
        self.seen.append(f"end {epoch}")

    @contextmanager
    def judged(self) -> Iterator[None]:
        self.seen.append("judged")
        yield
        self.seen.append("put back")

    def add_scores(self, scores: list[EpochScores], alive: list[int], logits: Tensor | None) -> None:
        self.seen.append("scores")
        for score in scores:
            score.values["own"] = 7.0

    def chosen(self, run: int, epoch: int, weights: Tensor) -> Tensor:
        self.seen.append(f"chosen {run}")
        return weights

    def keep(self, index: Tensor) -> None:
        self.seen.append(f"keep {index.tolist()}")


def test_the_moments_come_in_their_order_and_change_nothing(data: Callable[..., Data], monkeypatch: pytest.MonkeyPatch) -> None:
    toy = data()
    config = make_config("linear", epochs=2, batch_size=50, selection="last")
    plain = trainer.train(toy, config, [1, 2])
    recorder, real = Recorder(), trainer.callbacks
    monkeypatch.setattr(trainer, "callbacks", lambda *given, **named: [*real(*given, **named), recorder])
    found = trainer.train(toy, config, [1, 2])
    step = ["after", "losses", "step"]
    epoch = ["rows pooled", "before 0", *step, "rows pooled", "before 1", *step]
    judged = ["judged", "scores", "chosen 0", "chosen 1", "put back"]
    assert recorder.seen == [
        *("begin 1", "batches 2", *epoch, "end 1", *judged),
        *("begin 2", "batches 2", *epoch, "end 2", *judged),
    ]
    for ours, expected in zip(found, plain, strict=True):
        assert torch.equal(ours.weights, expected.weights)
        assert ours.curves["loss"] == expected.curves["loss"]
        assert ours.curves["own"] == [7.0, 7.0]
        assert len(ours.curves["size"]) == 2


def test_runs_that_leave_are_told_of_and_patience_begins_with_the_first_epoch_that_may_be_chosen(
    data: Callable[..., Data], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, real = Recorder(), trainer.callbacks
    recorder.first = 4
    monkeypatch.setattr(trainer, "callbacks", lambda *given, **named: [*real(*given, **named), recorder])
    options: dict[str, Any] = {"epochs": 40, "patience": 1, "lr": 2e-2, "head_options": {"hidden": "16"}}
    results = trainer.train(data(), make_config("mlp", **options), [1, 2, 3, 4])
    assert all(r.best_epoch >= 4 for r in results)
    assert len({r.epochs for r in results}) > 1
    kept = [s for s in recorder.seen if s.startswith("keep")]
    assert len(kept) == len({r.epochs for r in results}) - 1
