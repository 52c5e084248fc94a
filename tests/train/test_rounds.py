"""Runs in halves: all workers end together, and nothing that is trained changes by a bit."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ser.features.tensors import load_tensors
from ser.train.experiments.fit import fit
from ser.train.loop import trainer
from ser.train.loop.config import make_config
from ser.train.loop.data import Data, Trained
from ser.train.runs import rounds
from ser.train.runs.executor import groups
from ser.train.runs.experiment import FitOptions, begin
from ser.train.runs.halves import Half
from ser.train.runs.rounds import divided, share_out
from ser.train.runs.scheduler import plan, train

PLAIN: dict[str, Any] = {"epochs": 6, "patience": 0, "lr": 1e-2}
HEADS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "mlp",
        "pooled",
        {"head_options": {"hidden": "260,260"}, "mixup": 0.2},
    ),  # weights whose gradients are written in place
    ("cross_attention", "pooled+pooled", {"head_options": {"hidden": 16, "heads": 2}, "modality_dropout": 0.3}),
    ("bilstm", "frames", {"head_options": {"hidden": 8}, "patience": 1}),
    ("resnet18", "frames", {"head_options": {"hidden": 8}, "epochs": 3}),  # running statistics
]


def ends(order: list[tuple[int, float]], jobs: int) -> float:
    """When the last worker is done, each taking the next piece when it is free; second halves follow first ones."""
    free, begun = [0.0] * jobs, dict[int, float]()
    for unit, share in order:
        worker = int(np.argmin(free))
        if unit in begun:
            assert free[worker] >= begun[unit] - 1e-6, "its first half is not done yet"
            share = 1 - next(s for u, s in order if u == unit)
        free[worker] += share
        begun[unit] = free[worker]
    return max(free)


@pytest.mark.parametrize("jobs", range(1, 9))
def test_all_workers_end_together(jobs: int) -> None:
    for units in range(1, 40):
        order = share_out(units, jobs)
        assert sorted({u for u, _ in order}) == list(range(units))
        for unit in range(units):
            shares = [share for u, share in order if u == unit]
            assert shares == [1.0] or (len(shares) == 2 and 0 < shares[0] < shares[1] == 1.0)
        best, plain = max(1.0, units / jobs), -(-units // jobs)
        assert ends(order, jobs) <= (best + 1e-6 if plain > rounds.GAIN * best else plain)


@pytest.mark.parametrize(("head", "kind", "options"), HEADS, ids=[h for h, _, _ in HEADS])
@pytest.mark.parametrize("epochs", [1, 2])
def test_halves_are_the_whole_bit_for_bit(
    head: str,
    kind: str,
    options: dict[str, Any],
    epochs: int,
    data: Callable[..., Data],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained: list[int] = []
    real = trainer.Stack._epoch
    monkeypatch.setattr(trainer.Stack, "_epoch", lambda self, epoch: trained.append(epoch) or real(self, epoch))
    config, path = make_config(head, **(PLAIN | options)), tmp_path / "between"
    (whole,) = trainer.train(data(kind), config, [5])
    trainer.train(data(kind), config, [5], half=Half(path, epochs))
    assert path.exists()
    assert trained[whole.epochs :] == list(range(1, epochs + 1))
    torch.manual_seed(99)  # another process's stream
    (halves,) = trainer.train(data(kind), config, [5], half=Half(path))
    assert not path.exists()
    assert trained[whole.epochs :] == list(range(1, whole.epochs + 1))  # each epoch once
    assert same(whole, halves)
    (alone,) = trainer.train(data(kind), config, [5], half=Half(path))  # nothing was left there
    assert same(whole, alone)


def same(one: Trained, other: Trained) -> bool:
    assert one.epochs == other.epochs > 0
    assert (one.best_epoch, one.curves, one.notes) == (other.best_epoch, other.curves, other.notes)
    return torch.equal(one.weights, other.weights)


def test_a_run_that_ends_in_its_first_half_is_not_gone_on_with(data: Callable[..., Data], tmp_path: Path) -> None:
    config = make_config("mlp", **(PLAIN | {"epochs": 30, "patience": 2, "lr": 0.1, "schedule": "constant"}))
    (whole,) = trainer.train(data(), config, [5])
    assert whole.epochs < 25
    trainer.train(data(), config, [5], half=Half(tmp_path / "between", 28))
    (halves,) = trainer.train(data(), config, [5], half=Half(tmp_path / "between"))
    assert same(whole, halves)


def test_where_a_run_cannot_be_left_it_is_trained_whole(
    data: Callable[..., Data], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Any, file: Any) -> None:
        file.write(b"some")
        raise OSError(28, "No space left on device")

    config, path = make_config("mlp", **PLAIN), tmp_path / "between"
    (whole,) = trainer.train(data(), config, [5])
    with monkeypatch.context() as patch:
        patch.setattr("ser.train.runs.halves.torch.save", full)
        trainer.train(data(), config, [5], half=Half(path, 2))
    assert list(tmp_path.iterdir()) == []
    (halves,) = trainer.train(data(), config, [5], half=Half(path))
    assert same(whole, halves)


def test_a_run_that_diverges_in_its_first_half_is_reported_by_the_second(
    data: Callable[..., Data], tmp_path: Path
) -> None:
    config = make_config("mlp", **(PLAIN | {"lr": 1e30, "clip": 0.0}))
    trainer.train(data(), config, [5], half=Half(tmp_path / "between", 4))
    (failed,) = trainer.train(data(), config, [5], half=Half(tmp_path / "between"))
    assert failed.error is not None


def test_units_come_in_their_own_order(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the workers' is: what is chosen by means, and what is said of errors, is the same with any --jobs."""
    maker.table("a")
    maker.store("a", identity={"encoder": "toy"}, strength=0.6)
    options = FitOptions(protocol="official", scheme="4", refit="never", stack=1)
    begun = begin(load_tensors("a", maker.space), maker.space, "mlp", {"epochs": 4, "patience": 0}, options)
    _, units = plan(begun.job, begun.folds, range(5), 1)
    begun_in: list[int] = []

    def here(function: Any, work: Any, _: int) -> Any:
        for unit in work:
            begun_in.append(unit[2][0])
            yield function(*unit)

    monkeypatch.setattr("ser.train.runs.scheduler._is_short", lambda _: False)
    monkeypatch.setattr("ser.train.runs.executor.run_units", here)
    found = [done[0][0]["run"] for _, done, _ in train(units, 2, "label", quiet=True)]
    assert begun_in == [0, 2, 3, 1, 4, 2]
    assert found == [0, 1, 2, 3, 4]


def test_an_experiment_in_halves_has_the_same_records(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three runs on two workers; then the same in one process, where nothing is divided."""
    maker.table("a")
    maker.store("a", identity={"encoder": "toy"}, strength=0.6)
    given: dict[str, Any] = {
        "head": "mlp",
        "protocol": "official",
        "runs": 3,
        "stack": 1,
        "epochs": 4,
        "lr": 1e-2,
        "patience": 0,
    }
    given["refit"] = "always"
    found = []
    monkeypatch.setattr("ser.train.runs.scheduler._is_short", lambda _: False)
    seen: list[int] = []
    real = rounds.divided
    monkeypatch.setattr("ser.train.runs.scheduler.divided", lambda *a: seen.append(len(real(*a))) or real(*a))
    for jobs in (2, 1):
        path = maker.space.results / f"jobs-{jobs}.json"
        fit("a", maker.space, jobs=jobs, output=path, **given)
        summary = json.loads(path.read_text())
        rows = [pd.read_csv(p) for p in sorted(path.with_suffix("").glob("*.csv"))]
        curves = [json.loads(p.read_text())["curves"] for p in sorted(path.with_suffix("").glob("*.json"))]
        found.append((summary["pooled"]["UA"]["values"], curves, pd.concat(rows)))
    assert seen == [4, 3]
    assert found[0][:2] == found[1][:2]
    pd.testing.assert_frame_equal(found[0][2], found[1][2])


def test_what_has_more_state_than_a_plain_run_is_not_divided(maker: Any, tmp_path: Path) -> None:
    maker.table("a")
    maker.store("a", identity={"encoder": "toy"}, strength=0.6)
    options = FitOptions(protocol="official", scheme="4", refit="never")
    begun = begin(load_tensors("a", maker.space), maker.space, "mlp", {"epochs": 10, "patience": 0}, options)

    def halves(runs: int = 3, jobs: int = 2, stack: int = 1, **changes: Any) -> list[tuple[int, int | None]]:
        job = replace(begun.job, config=replace(begun.job.config, **changes))  # type: ignore[type-var]
        _, units = plan(job, begun.folds, range(runs), stack)
        assert [u[2] for u in units] == groups(range(runs), stack)
        found = [(number, half) for number, half in divided(units, jobs, tmp_path) if half is not None]
        assert len({half.path for _, half in found}) == len({number for number, _ in found}) == len(found) / 2
        assert (
            len({(number, half.path) for number, half in found}) == len(found) / 2
        )  # both halves of a run have one place
        return [(number, half.epochs) for number, half in found]

    assert halves() == [(1, 5), (1, None)]
    assert halves(jobs=1) == halves(runs=4) == halves(runs=2) == halves(runs=6, stack=2) == []
    for changes in (
        {"patience": 3},
        {"average": "ema"},
        {"snapshots": 2},
        {"freeze": "encoder"},
        {"adapt": "dann"},
        {"head": "late"},
    ):
        assert halves(**changes) == []
    assert halves(runs=5, jobs=4) == [(1, 8), (2, 5), (3, 2), (3, None), (2, None), (1, None)]
    own, other = (plan(job, begun.folds, range(3), 1)[1] for job in (begun.job, replace(begun.job)))
    assert any(half for _, half in divided(own, 2, tmp_path))
    assert not any(half for _, half in divided([*own[:2], *other[2:]], 2, tmp_path))  # another job may take any time
