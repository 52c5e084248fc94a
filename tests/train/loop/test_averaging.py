"""Averaged weights, snapshot ensembles, schedules, precision, and the collapse to one class."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from ser import registry
from ser.errors import ConfigError
from ser.train.heads._base import HEADS, options_of, part_of, takes
from ser.train.loop.averaging import Average
from ser.train.loop.config import make_config
from ser.train.loop.data import Data
from ser.train.loop.optimisation import cycle_ends, factor, rate
from ser.train.loop.prediction import predict
from ser.train.loop.trainer import train
from ser.train.loop.validation import Collapse, validate
from ser.train.nn.parameters import Parameters

LAST = {"selection": "last", "patience": 0, "schedule": "constant"}


def test_swa_is_the_mean_of_the_last_quarter_s_weights(data: Callable[..., Data]) -> None:
    toy = data()
    config = make_config("mlp", epochs=8, average="swa", **LAST)
    averaged = train(toy, config, [1, 2])
    ends = [train(toy, replace(config, epochs=e, average="none"), [1, 2]) for e in (7, 8)]
    for r in range(2):
        expected = (ends[0][r].weights + ends[1][r].weights) / 2
        torch.testing.assert_close(averaged[r].weights, expected, rtol=1e-5, atol=1e-6)
        assert averaged[r].curves["loss"] == ends[1][r].curves["loss"]  # training goes on from the weights themselves


def test_swa_holds_the_rate_and_chooses_among_averages(data: Callable[..., Data]) -> None:
    from ser.train.loop import trainer

    stack = trainer.Stack(data(), make_config("mlp", epochs=8, average="swa", patience=1), [1, 2], None)
    rates = [rate("one-cycle", s, stack.steps, stack.ends, stack.last_moving) for s in range(8 * stack.steps)]
    held = rates[6 * stack.steps :]
    assert set(held) == {factor("one-cycle", 6 * stack.steps, 8 * stack.steps)}
    assert rates[: 6 * stack.steps] == [factor("one-cycle", s, 8 * stack.steps) for s in range(6 * stack.steps)]
    for result in stack.run():
        assert result.best_epoch in (7, 8)
        assert result.epochs >= 7  # patience begins with the averages


def test_ema_by_hand() -> None:
    block = Parameters([lambda: torch.nn.Linear(2, 1), lambda: torch.nn.Linear(2, 1)])
    average = Average("ema", block, 10)
    mean = block.theta.detach().numpy().copy()
    for t in range(1, 30):
        block.theta.data += torch.randn(block.theta.shape)
        average.after_step()
        keep = min(0.999, (1 + t) / (10 + t))
        mean = keep * mean + (1 - keep) * block.theta.detach().numpy()
    np.testing.assert_allclose(average.means[0], mean, rtol=1e-4, atol=1e-5)
    own = block.theta.detach().clone()
    with average.judged():
        np.testing.assert_allclose(block.theta.detach(), mean, rtol=1e-4, atol=1e-5)
    assert torch.equal(block.theta.detach(), own)
    average.keep(torch.tensor([1]))
    np.testing.assert_allclose(average.means[0], mean[1:], rtol=1e-4, atol=1e-5)


def test_running_statistics_are_averaged_and_put_back() -> None:
    module = torch.nn.Sequential(torch.nn.BatchNorm1d(3))
    module.stackable = False  # type: ignore[assignment]
    block = Parameters([lambda: module])
    average = Average("swa", block, 4)
    norm = block.head[0]  # type: ignore[index]
    for epoch, value in ((3, 1.0), (4, 4.0)):
        norm.running_mean.fill_(value)
        average.end_epoch(epoch)
    norm.running_mean.fill_(7.0)
    average.first = 4  # epochs 3 and before it are not of the last quarter
    with average.judged():
        assert norm.running_mean.tolist() == [4.0] * 3
    assert norm.running_mean.tolist() == [7.0] * 3


@pytest.mark.parametrize("average", ["ema", "swa"])
def test_a_run_is_itself_with_averages(average: str, data: Callable[..., Data]) -> None:
    toy = data()
    options = {"epochs": 40, "patience": 2, "schedule": "constant", "label_smoothing": 0.0, "lr": 2e-2}
    config = make_config("mlp", average=average, head_options={"hidden": "16"}, **options)
    five = train(toy, config, [11, 22, 33, 44, 55])
    for other in (train(toy, config, [33])[0], train(toy, config, [33, 99])[0]):
        assert torch.equal(five[2].weights, other.weights)
        assert five[2].curves == other.curves
    assert len({r.epochs for r in five}) > 1  # runs left the stack


def test_averages_learn_and_the_scores_are_those_of_the_kept_weights(data: Callable[..., Data]) -> None:
    toy = data()
    for average in ("ema", "swa"):
        config = make_config("mlp", epochs=12, lr=3e-3, average=average)
        (trained,) = train(toy, config, [1])
        probabilities = predict(toy, config, trained.weights[None], toy.validation)[0]
        y = toy.labels[toy.validation]
        recalls = [(probabilities.argmax(-1) == y)[y == c].mean() for c in range(4)]
        assert np.mean(recalls) == pytest.approx(trained.curves["validation_UA"][trained.best_epoch - 1], abs=1e-6)
        assert np.mean(recalls) > 0.7


def test_snapshots_are_the_ends_of_cycles_and_their_probabilities_are_averaged(data: Callable[..., Data]) -> None:
    toy = data()
    config = make_config("mlp", epochs=6, snapshots=3, head_options={"hidden": "16"})
    assert (config.schedule, config.selection, config.patience) == ("cycles", "last", 0)
    two = train(toy, config, [1, 2])
    first = train(toy, replace(config, epochs=2, snapshots=1), [1, 2])
    size = len(first[0].weights)
    rows = np.arange(125, 150)
    for trained, start in zip(two, first, strict=True):
        assert len(trained.weights) == 3 * size
        assert torch.equal(trained.weights[:size], start.weights)
        assert trained.best_epoch == 6
        parts = [predict(toy, replace(config, snapshots=1), w[None], rows)[0] for w in trained.weights.chunk(3)]
        assert not np.array_equal(parts[1], parts[2])
        np.testing.assert_allclose(predict(toy, config, trained.weights[None], rows)[0], np.mean(parts, axis=0))
    assert torch.equal(train(toy, config, [2])[0].weights, two[1].weights)
    tuned = train(toy, replace(config, lr=1e-9), [1, 2], torch.stack([t.weights for t in two]))
    torch.testing.assert_close(tuned[0].weights[:size], two[0].weights[-size:], atol=1e-5, rtol=0)


def test_snapshots_refuse_what_does_not_go_with_them() -> None:
    for wrong, said in (
        ({"snapshots": 3, "schedule": "cosine"}, "schedule = cosine with snapshots"),
        ({"snapshots": 3, "patience": 5}, "patience = 5 with snapshots"),
        ({"snapshots": 3, "average": "ema"}, "average = ema with snapshots"),
        ({"snapshots": 30, "epochs": 10}, "30 snapshots in 10 epochs"),
        ({"snapshots": 0}, "snapshots = 0"),
        ({"schedule": "cycles"}, "schedule cycles"),
        ({"average": "mean"}, "unknown average 'mean'"),
        ({"precision": "float16"}, "unknown precision 'float16'"),
    ):
        with pytest.raises(ConfigError, match=said):
            make_config("mlp", **wrong)
    config = make_config("mlp", snapshots=2)
    assert make_config("mlp", **{k: v for k, v in config.as_dict().items() if k != "head"}) == config


def test_cycles_and_the_linear_schedule() -> None:
    for epochs, cycles in ((10, 3), (7, 7), (40, 5), (11, 2)):
        ends = cycle_ends(epochs, cycles)
        lengths = np.diff([0, *ends])
        assert ends[-1] == epochs
        assert len(ends) == cycles
        assert lengths.max() - lengths.min() <= 1
    cycle = [factor("cycles", s, 50) for s in range(50)]
    assert cycle[0] > 0.99
    assert cycle[-1] < 0.01
    assert sum(cycle) == pytest.approx(25)
    line = [factor("linear", s, 100) for s in range(100)]
    assert line[4] == pytest.approx(0.45)
    np.testing.assert_allclose(np.diff(line[10:]), -1 / 90)
    assert line[-1] == pytest.approx(0.5 / 90)


@pytest.mark.parametrize("name", [n for n in registry.names(HEADS) if part_of(n) == n])
def test_every_head_trains_in_bfloat16_and_predicts_in_float32(name: str, data: Callable[..., Data]) -> None:
    small = {"hidden": 16} if "hidden" in options_of(name) else {}
    kinds = ("frames+words", "pooled", "frames", "words")
    toy = next(toy for toy in map(data, kinds) if takes(name).fits(toy.resident.inputs))
    config = make_config(name, epochs=1, head_options=small, precision="bfloat16", patience=0)
    (half,) = train(toy, config, [3])
    (whole,) = train(toy, replace(config, precision="float32"), [3])
    assert half.weights.dtype == torch.float32
    assert not torch.equal(half.weights, whole.weights)
    assert half.curves["loss"][0] == pytest.approx(whole.curves["loss"][0], rel=0.1)
    found = predict(toy, config, half.weights[None], toy.validation)
    np.testing.assert_array_equal(found, predict(toy, replace(config, precision="float32"), half.weights[None], toy.validation))


def test_collapse_is_found_where_it_lasts_and_named() -> None:
    collapse = Collapse()
    for epoch, only in enumerate([2, 2, None, 1, 1, 1, 1, None, 0, 0, 0], start=1):
        collapse.see(epoch, only)
    names = ("anger", "happiness", "neutral")
    assert collapse.notes(names, 11) == [
        "collapsed: every validation utterance is predicted happiness in epochs 4 to 7, then recovered",
        "collapsed: every validation utterance is predicted anger from epoch 9 on",
    ]
    assert collapse.notes((), 11)[1].endswith("predicted class 0 from epoch 9 on")
    changing = Collapse()
    for epoch, only in enumerate([2, 2, 1, 1, 2, 2], start=1):
        changing.see(epoch, only)
    assert changing.notes(names, 6) == []


def test_scores_against_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, log_loss, recall_score

    torch.manual_seed(0)
    logits, labels = torch.randn(3, 40, 4), torch.randint(0, 3, (40,))
    logits[2] = torch.tensor([0.0, 9.0, 0.0, 0.0])
    for r, score in enumerate(validate(logits, labels, 4)):
        guess = logits[r].argmax(-1)
        recalls = recall_score(labels, guess, average=None, labels=[0, 1, 2], zero_division=0)
        assert score.values["validation_UA"] == pytest.approx(np.mean(recalls))
        assert score.values["validation_WA"] == pytest.approx(accuracy_score(labels, guess))
        loss = log_loss(labels, logits[r].double().softmax(-1), labels=[0, 1, 2, 3])
        assert score.values["validation_loss"] == pytest.approx(loss, rel=1e-5)
        assert score.only == (1 if r == 2 else None)


def test_a_collapsed_run_does_not_stop_the_others(data: Callable[..., Data]) -> None:
    toy = data()
    start = torch.zeros(2, 52)
    start[0, 48:] = torch.tensor([0.0, 80.0, 0.0, 0.0])  # the biases: far above what so few steps can bring down
    config = make_config("linear", epochs=5, lr=1e-2, patience=0)
    collapsed, sound = train(toy, config, [1, 2], start)
    assert collapsed.notes == ["collapsed: every validation utterance is predicted class 1 from epoch 1 on"]
    assert sound.notes == []
    assert sound.epochs == 5
