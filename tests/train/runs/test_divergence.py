"""A run that diverges: its neighbours are what they are without it, the others are kept, and one error names it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ser.cli import main
from ser.errors import SerError, TrainingError
from ser.jsonfile import plain
from ser.results.stored.runs import read_predictions
from ser.train.classical import learner as classical_learner
from ser.train.classical.estimator import HeadClassifier
from ser.train.experiments.ablate import ablate
from ser.train.experiments.adapt import adapt
from ser.train.experiments.fewshot import fewshot
from ser.train.experiments.finetune import finetune
from ser.train.experiments.fit import fit
from ser.train.experiments.search import search
from ser.train.fewshot.shots import Amount
from ser.train.loop import trainer
from ser.train.loop.callbacks import Callback
from ser.train.loop.config import make_config
from ser.train.loop.data import Data, Trained
from ser.train.loop.trainer import train
from ser.train.nn import streams
from ser.train.runs import scheduler
from ser.train.runs.divergence import refuse
from ser.train.runs.experiment import Experiment, fit_experiment
from ser.train.runs.job import Run
from ser.train.runs.joined_corpora import load
from ser.train.runs.options import FitOptions
from ser.train.runs.worker import train_unit

FAST: dict[str, Any] = {"epochs": 6, "lr": 1e-2, "jobs": 1, "head_options": {"hidden": 16}}
When = Callable[[Any, int, int], bool]


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set a weight of a run, `when(stack, seed, epoch)`, before the epoch's first step, or after its last."""
    real = trainer.callbacks

    class Poison(Callback):
        def __init__(self, stack: Any, when: When, value: float, last: bool) -> None:
            self.stack, self.when, self.value, self.last = stack, when, value, last
            self.epoch = self.left = 0

        def begin_epoch(self, seeds: Sequence[int], epoch: int, steps: int) -> None:
            self.epoch, self.left = epoch, steps
            if not self.last:
                self.strike()

        def after_step(self) -> None:
            self.left -= 1
            if self.last and not self.left:
                self.strike()

        def strike(self) -> None:
            for slot, r in enumerate(self.stack.alive):
                if self.when(self.stack, self.stack.seeds[r], self.epoch):
                    self.stack.parameters.theta.data[slot, : self.stack.parameters.size // 2] = self.value

    def put(when: When, value: float = float("inf"), last: bool = False) -> None:
        def poisoned(stack: Any, rows: Any, given: bool) -> list[Callback]:
            return [*real(stack, rows, given), Poison(stack, when, value, last)]

        monkeypatch.setattr(trainer, "callbacks", poisoned)

    return put


def seed_in(run: int, fold: str, *more: object) -> int:
    """The seed of a run of an experiment with seed 0."""
    seed = streams.derive(0, run, fold)
    return streams.derive(seed, *more) if more else seed


def same(found: Trained, expected: Trained) -> None:
    assert found.error is None
    assert bool(found.weights.isfinite().all())
    assert torch.equal(found.weights, expected.weights)
    assert (found.curves, found.best_epoch, found.epochs) == (expected.curves, expected.best_epoch, expected.epochs)


WAYS: list[dict[str, Any]] = [
    {},
    {"head_options": {"hidden": 16}, "schedule": "constant"},
    {"clip": 0.05, "average": "ema", "loss": "cross_entropy,prototype:0.1"},
    {"average": "swa", "mixup": 0.4, "feature_noise": 0.1},
    {"snapshots": 2, "patience": 0, "loss": "cross_entropy,supcon:0.1"},
    {"adapt": "cdan", "selection": "entropy"},
    {"adapt": "mmd", "selection": "dev", "head_options": {"hidden": 16}},
    {"adapt": "coral", "selection": "iwv", "head_options": {"hidden": 16}},
    {"freeze": "encoder", "head_options": {"hidden": 16}},
]


@pytest.mark.parametrize("options", WAYS, ids=lambda o: "+".join(o) or "plain")
def test_the_neighbours_of_a_run_that_diverges_are_themselves(
    options: dict[str, Any], data: Callable[..., Data], poison: Callable[..., None]
) -> None:
    """Weights are 512 x 256 where nothing is said: gradients are then written in place, and clipped by other code."""
    toy = replace(data(), unlabelled=np.arange(125, 150))
    config = make_config("mlp", **{"epochs": 4, "batch_size": 40, "patience": 2, "lr": 3e-3, **options})
    begun = train(toy, make_config("mlp", epochs=1, head_options=options.get("head_options")), [5, 6, 7])
    start = torch.stack([t.weights for t in begun]) if "freeze" in options else None
    few = train(toy, config, [1, 3], None if start is None else start[[0, 2]])
    alone = train(toy, config, [1], None if start is None else start[:1])
    poison(lambda _, seed, epoch: seed == 2 and epoch == 2)
    first, failed, third = train(toy, config, [1, 2, 3], start)
    same(first, few[0])
    same(third, few[1])
    same(first, alone[0])
    assert str(failed.error).startswith("the loss is not finite in epoch 2. Lower --lr")
    assert bool(failed.weights.isnan().all())
    assert failed.weights.shape == first.weights.shape
    assert failed.epochs == 1


@pytest.mark.parametrize(
    ("value", "options", "said"),
    [
        (float("nan"), {}, "the weights are not finite in epoch 3"),
        (1e30, {}, "the validation loss is not finite in epoch 3"),
        (1e30, {"adapt": "dann", "selection": "dev"}, "the validation loss is not finite in epoch 3"),
    ],
)
def test_a_run_that_diverges_with_the_last_step_of_an_epoch(
    value: float, options: dict[str, Any], said: str, data: Callable[..., Data], poison: Callable[..., None]
) -> None:
    toy = replace(data(), unlabelled=np.arange(125, 150))
    config = make_config("mlp", epochs=3, head_options={"hidden": "16,16,16"}, **options)
    expected = train(toy, config, [1])[0]
    poison(lambda _, seed, epoch: seed == 2 and epoch == 3, value, last=True)
    failed, other = train(toy, config, [2, 1])
    assert said in str(failed.error)
    same(other, expected)


def test_weights_to_start_from_that_are_not_finite_fail_their_run_alone(data: Callable[..., Data]) -> None:
    toy, config = data(), make_config("linear", epochs=3)
    start = torch.randn(3, 52, generator=torch.Generator().manual_seed(0))
    expected = train(toy, config, [1, 3], start[[0, 2]])
    start[1, 7] = float("inf")
    first, failed, third = train(toy, config, [1, 2, 3], start)
    same(first, expected[0])
    same(third, expected[1])
    assert "not finite in epoch 1" in str(failed.error)
    everywhere = train(toy, config, [1, 2], start[1].expand(2, -1))
    assert all("not finite in epoch 1" in str(t.error) for t in everywhere)


def test_a_classifier_of_scikit_learn_s_interface_raises(poison: Callable[..., None]) -> None:
    poison(lambda *_: True)
    with pytest.raises(TrainingError, match=r"not finite in epoch 1\. Lower --lr"):
        HeadClassifier("linear").fit(np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2)


def job_of(maker: Any, **given: Any) -> Experiment:
    options = FitOptions(maker.space, training={k: FAST[k] for k in ("epochs", "lr")}, runs=4, **given)
    return fit_experiment(load("toy", options), options)


def equal(found: list[Run], expected: list[Run]) -> None:
    assert len(found) == len(expected)
    for (row, predictions), (other, theirs) in zip(found, expected, strict=True):
        assert {**plain(row), "seconds": 0} == {**plain(other), "seconds": 0}
        pd.testing.assert_frame_equal(predictions, theirs)


@pytest.mark.parametrize("again", [False, True], ids=["first training", "second training"])
def test_a_unit_gives_the_runs_that_were_finished_and_an_error_for_each_other(
    again: bool, maker: Any, poison: Callable[..., None]
) -> None:
    maker.table("toy")
    maker.store("toy")
    begun = job_of(maker, protocol="official", refit="always")
    expected = train_unit(begun.job, begun.folds, [0, 3])

    def when(stack: Any, seed: int, epoch: int) -> bool:
        return epoch == 1 and again != bool(len(stack.data.validation)) and seed in map(seed_of, (1, 2))

    def seed_of(run: int) -> int:
        return seed_in(run, begun.folds[0].name)

    poison(when)
    found = train_unit(begun.job, begun.folds, [0, 1, 2, 3])
    errors = [e for e in found if isinstance(e, SerError)]
    assert [e.problem for e in errors] == [f"the loss is not finite in epoch 1 (run {k}, fold official)" for k in (1, 2)]
    equal([r for r in found if not isinstance(r, SerError)], expected)  # type: ignore[arg-type]
    assert all(isinstance(e, SerError) for e in train_unit(begun.job, begun.folds, [1, 2]))


def test_predictions_that_are_not_finite_fail_their_run_alone(maker: Any, poison: Callable[..., None]) -> None:
    """Huge weights of the second training's last step: nothing was validated after it."""
    maker.table("toy")
    maker.store("toy")
    begun = job_of(maker, protocol="official", refit="always")
    expected = train_unit(begun.job, begun.folds, [0, 2])

    def when(stack: Any, seed: int, epoch: int) -> bool:
        last = not len(stack.data.validation) and epoch == stack.config.epochs
        return last and seed == seed_in(1, begun.folds[0].name)

    poison(when, 1e30, last=True)
    found = train_unit(begun.job, begun.folds, [0, 1, 2])
    assert [str(e) for e in found if isinstance(e, SerError)] == [
        "predicted probabilities are not finite (run 1, fold official). Lower --lr, or check the features: ser store verify."
    ]
    equal([r for r in found if not isinstance(r, SerError)], expected)  # type: ignore[arg-type]


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The units that are trained."""
    found: list[Any] = []
    real = scheduler.run_units

    def counting(function: Any, units: Any, engine: Any) -> Any:
        found.extend(units)
        return real(function, units, engine)

    monkeypatch.setattr(scheduler, "run_units", counting)
    return found


def records(folder: Path) -> set[str]:
    return {p.name for p in folder.glob("run-*.json")}


def test_fit_keeps_the_others_and_ends_with_one_error(
    maker: Any, poison: Callable[..., None], units: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    maker.table("toy")
    maker.store("toy")
    given = [
        "--protocol",
        "speaker",
        "--epochs",
        "6",
        "--jobs",
        "1",
        "--stack",
        "3",
        "--runs",
        "3",
        "--head-option",
        "hidden=16",
    ]
    command = ["fit", "--workspace", str(maker.space.root), "--quiet", *given]
    whole = maker.space.results / "whole.json"
    assert main([*command, "--output", str(whole)]) == 0
    lost = {seed_in(1, "s0"), seed_in(0, "s3"), seed_in(2, "s3")}
    poison(lambda _, seed, epoch: seed in lost and epoch == 1)
    units.clear()
    assert main(command) == 1
    (folder,) = maker.space.results.glob("fit-*")
    said = capsys.readouterr().err
    assert said.splitlines() == [
        "ser: 3 trainings diverged: the loss is not finite in epoch 1 (run 1, fold s0; "
        "run 0, fold s3; run 2, fold s3). "
        f"The others (15 records) are kept in {folder}. No summary is written, as leaving out seeds that diverged would "
        "flatter the numbers. The same command would train these again, to the same end: take a lower --lr, a lower --clip "
        "(0 is none), or check the features: ser store verify."
    ]
    assert len(units) == 6
    assert folder.is_dir()
    names = records(whole.with_suffix(""))
    gone = {f"run-{k:03d}.fold-{fold}.json" for k, fold in ((1, "s0"), (0, "s3"), (2, "s3"))}
    assert len(names) == 18
    assert records(folder) == names - gone
    units.clear()
    assert main(command) == 1
    assert [(u[1][0].name, u[2]) for u in units] == [("s0", [1]), ("s3", [0, 2])]
    assert "The others (15 records)" in capsys.readouterr().err
    poison(lambda *_: False)
    assert main(command) == 0
    path = folder.with_suffix(".json")
    found, expected = (read_predictions(p) for p in (path, whole))
    pd.testing.assert_frame_equal(found, expected)


def test_a_setting_of_a_search_that_diverges_has_failed(maker: Any, poison: Callable[..., None]) -> None:
    maker.table("toy")
    maker.store("toy")
    lost = seed_in(1, "s2")
    poison(lambda stack, seed, epoch: stack.config.lr == 1e-2 and seed == lost and epoch == 2)
    found = search("toy", maker.space, grid={"lr": [1e-2, 1e-3]}, protocol="speaker", runs=2, epochs=6, jobs=1)
    assert (found["tried"], found["failed"]) == (2, 1)
    assert found["settings"][0]["record"] is None
    assert found["settings"][0]["error"].startswith("the loss is not finite in epoch 2 (run 1, fold s2)")
    assert found["chosen"]["setting"] == {"lr": 1e-3}


def test_a_study_names_the_experiment_and_keeps_all_others(maker: Any, poison: Callable[..., None]) -> None:
    maker.table("toy")
    maker.store("toy")
    maker.store("toy", "words", modality="text")
    lost = seed_in(0, "official")
    poison(lambda stack, seed, epoch: len(stack.data.resident.inputs) == 1 and seed == lost and epoch == 1)
    given = {"head": "early", "simple": "early", "protocol": "official", "runs": 2, **FAST}
    with pytest.raises(TrainingError) as caught:
        ablate("toy", maker.space, **given)
    said = str(caught.value)
    assert said.startswith("2 trainings diverged: fit-toy-")
    assert said.count("the loss is not finite in epoch 1 (run 0, fold official)") == 2
    assert f"The others (4 records) are kept in {maker.space.results}. " in said
    assert not list(maker.space.results.glob("*.json"))
    assert sorted(len(records(f)) for f in maker.space.results.iterdir()) == [1, 1, 2]


def test_fine_tuning_keeps_the_folds_that_did_not_diverge(maker: Any, poison: Callable[..., None]) -> None:
    for name in ("source", "target"):
        maker.table(name)
        maker.store(name)
    given = {"protocol": "session", "runs": 2, **FAST}
    whole = finetune("source", "target", maker.space, output=maker.space.results / "whole.json", **given)
    folders = [maker.space.results / v["experiment"] for v in whole["variants"]]
    expected = [records(f) for f in folders]
    for file in [*maker.space.results.glob("*/run-*"), *maker.space.results.glob("*.json")]:
        file.unlink()
    second = sorted({n.split(".")[1].removeprefix("fold-") for n in expected[1]})[1]
    tuned = seed_in(1, second)
    poison(lambda stack, seed, epoch: stack.config.lr == pytest.approx(1e-3) and seed == tuned and epoch == 2)
    with pytest.raises(TrainingError, match=rf"^1 training diverged: .*fine-tuned.*\(run 1, fold {second}\)\. The others"):
        finetune("source", "target", maker.space, **given)
    assert [records(f) for f in folders] == [expected[0], expected[1] - {f"run-001.fold-{second}.json"}, expected[2]]


def test_adaptation_by_a_criterion_on_the_target_keeps_the_others(maker: Any, poison: Callable[..., None]) -> None:
    for name in ("source", "target"):
        maker.table(name)
        maker.store(name)
    given = {"protocol": "official", "runs": 3, "methods": ["coral"], "criterion": "dev", **FAST}
    lost: list[int] = []

    def when(stack: Any, seed: int, epoch: int) -> bool:
        if stack.config.adapt == "coral" and epoch == 2 and not lost:
            lost.append(stack.seeds[1])
        return seed in lost and stack.config.adapt == "coral" and epoch == 2

    poison(when)
    with pytest.raises(TrainingError, match=r"coral.*the loss is not finite in epoch 2 \(run 1, fold official\)"):
        adapt("source", "target", maker.space, stack=3, **given)
    assert sorted(len(records(f)) for f in maker.space.results.iterdir()) == [2, 3, 3]


def test_few_shot_learning_keeps_what_was_finished(maker: Any, poison: Callable[..., None]) -> None:
    for name in ("source", "target"):
        maker.table(name)
        maker.store(name)
    given: dict[str, Any] = {"protocol": "official", "runs": 3, "tune_epochs": 3, "shots": [2, 4], **FAST}
    given |= {"methods": ["finetune", "prototypical"], "stack": 3}
    results = maker.space.results
    whole = fewshot("target", "source", maker.space, **given)
    folders = [results / m["experiment"] for m in whole["methods"]]
    expected = [{p.name: p.read_bytes() for p in f.glob("*.csv*")} for f in folders]
    assert all(len(own) == 3 * 3 for own in expected)
    fine = seed_in(1, "official", Amount(shots=4).name)
    for source in (False, True):
        for file in [*results.glob("*/*"), *results.glob("*.json")]:
            file.unlink()
        first: list[int] = []

        def when(stack: Any, seed: int, epoch: int, first: list[int] = first, source: bool = source) -> bool:
            if source and not first:
                first.append(stack.seeds[1])
            return epoch == 1 and (seed in first or (not source and seed == fine))

        poison(when)
        with pytest.raises(TrainingError) as caught:
            fewshot("target", "source", maker.space, **given)
        where = "source" if source else f"fold official, {Amount(shots=4).name} by finetune"
        assert f"1 training diverged: the loss is not finite in epoch 1 (run 1, {where}). " in str(caught.value)
        kept = [{p.name: p.read_bytes() for p in f.glob("*.csv*")} for f in folders]
        for own, other in zip(kept, expected, strict=True):
            assert own == {name: other[name] for name in own}
        assert [len(own) for own in kept] == ([6, 6] if source else [8, 9])
        assert not list(results.glob("*.json"))
    poison(lambda *_: False)
    again = fewshot("target", "source", maker.space, **given)
    assert [m["curve"] for m in again["methods"]] == [m["curve"] for m in whole["methods"]]


def test_what_needs_no_source_is_learned_where_the_source_diverges(maker: Any, poison: Callable[..., None]) -> None:
    for name in ("source", "target"):
        maker.table(name)
        maker.store(name)
    given: dict[str, Any] = {"protocol": "official", "runs": 2, "tune_epochs": 2, "shots": [2], **FAST}
    given |= {"methods": ["prototypical", "scratch"], "stack": 2}
    source: list[int] = []

    def when(stack: Any, seed: int, epoch: int) -> bool:
        if not source:
            source.append(stack.seeds[1])
        return seed in source

    poison(when)
    with pytest.raises(TrainingError, match=r"run 1, source"):
        fewshot("target", "source", maker.space, **given)
    kept = {f.name.split("-")[1]: len(list(f.glob("*.csv*"))) for f in maker.space.results.glob("*") if f.is_dir()}
    assert sorted(kept.values()) == [2, 2]  # by prototypical run 0 with no shot and with two, by scratch both runs with two


@pytest.fixture
def solver_fails(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let scikit-learn diverge in run 1 on a fold or an amount, by what its seed is made of."""

    def patch(*of: str) -> None:
        real, bad = classical_learner.fit_alone, seed_in(1, *of) % 2**32

        def fit_alone(made: Any, name: str, *data: Any, **weights: Any) -> Any:
            if made.random_state == bad:
                raise TrainingError(f"{name}: Solver produced non-finite parameter weights.")
            return real(made, name, *data, **weights)

        monkeypatch.setattr(classical_learner, "fit_alone", fit_alone)

    return patch


def test_a_classifier_of_scikit_learn_that_diverges_leaves_the_others(maker: Any, solver_fails: Callable[..., None]) -> None:
    maker.table("toy")
    maker.store("toy")
    solver_fails("official")
    options: dict[str, Any] = {"protocol": "official", "runs": 3, "jobs": 1}
    with pytest.raises(TrainingError, match=r"1 training diverged: .*non-finite.* \(run 1, fold official\)"):
        fit("toy", maker.space, head="sklearn:MLPClassifier", head_options={"max_iter": 5}, **options)
    assert len(list(maker.space.results.glob("*/*.csv*"))) == 2


def test_a_classifier_of_scikit_learn_that_diverges_on_shots_leaves_the_others(
    maker: Any, solver_fails: Callable[..., None]
) -> None:
    maker.table("toy")
    maker.store("toy")
    solver_fails("official", Amount(shots=2).name)
    options: dict[str, Any] = {"protocol": "official", "runs": 2, "jobs": 1, "shots": [2], "head_options": {"max_iter": 5}}
    with pytest.raises(TrainingError, match=r"1 training diverged: .*non-finite.* \(run 1, .*, 2 shots by finetune\)"):
        fewshot("toy", None, maker.space, head="sklearn:MLPClassifier", **options)
    assert len(list(maker.space.results.glob("*/*.csv*"))) == 1


def test_one_other_record_is_one() -> None:
    with pytest.raises(TrainingError, match=r"The others \(1 record\) are kept in results/e\."):
        refuse([TrainingError("the loss is not finite (run 0, fold 1)")], 1, [Path("results/e")])


def test_an_option_that_fits_no_run_is_refused_without_one(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    with pytest.raises(TrainingError, match=r"^--band-masks needs") as refused:
        fit("toy", maker.space, protocol="official", runs=1, band_masks="1x2")
    assert "run 0" not in str(refused.value)
