"""The trainer: stopping, selection, weights, clipping, and what it refuses."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ser.errors import ConfigError, TrainingError
from ser.train.heads._base import build_head
from ser.train.loop.config import Config, make_config
from ser.train.loop.data import Data
from ser.train.loop.objective import trainable
from ser.train.loop.optimisation import factor
from ser.train.loop.prediction import predict
from ser.train.loop.trainer import train
from ser.train.loop.validation import EpochChoice
from ser.train.losses.cross_entropy import class_weights, loss
from ser.train.nn import streams
from ser.train.nn.inplace_gradients import Gradients
from ser.train.nn.layers import Input
from ser.train.nn.parameters import Parameters


def test_one_run_is_the_usual_loop(data: Callable[..., Data]) -> None:
    """The same numbers as torch.nn.Linear, CrossEntropyLoss and AdamW in the loop that everybody writes."""
    toy = data()
    config = make_config("linear", epochs=3, lr=1e-2, batch_size=32, schedule="constant", selection="last", clip=0)
    (trained,) = train(toy, config, [7])
    x, y = torch.from_numpy(toy.resident.values["pooled"].numpy()), torch.from_numpy(toy.labels)
    bound = 1 / np.sqrt(12)
    layer = torch.nn.Linear(12, 4)
    torch.manual_seed(streams.derive(7, "init"))
    layer.weight.data = torch.empty(1, 12, 4).uniform_(-bound, bound)[0].T.contiguous()
    layer.bias.data = torch.empty(1, 1, 4).uniform_(-bound, bound)[0, 0]
    counts = torch.bincount(y[:100])
    criterion = torch.nn.CrossEntropyLoss(100 / (4 * counts), label_smoothing=0.1)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=1e-2, weight_decay=0.01)
    for epoch in (1, 2, 3):
        order = torch.randperm(100, generator=streams.generator(7, "order", epoch))
        for rows in order.split(32):
            optimiser.zero_grad()
            criterion(layer(x[rows]), y[rows]).backward()
            optimiser.step()
    size = 12 * 4
    torch.testing.assert_close(trained.weights[:size].view(12, 4), layer.weight.T, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(trained.weights[size : size + 4], layer.bias, rtol=1e-4, atol=1e-6)


def test_the_best_epoch_s_weights_are_kept_and_predict_uses_them(data: Callable[..., Data]) -> None:
    toy = data()
    config = make_config("mlp", epochs=12, patience=0, lr=3e-3)
    for trained in train(toy, config, [1, 2]):
        scores = trained.curves["validation_UA"]
        assert len(scores) == trained.epochs == 12
        assert scores[trained.best_epoch - 1] >= max(scores) - 0.15
        probabilities = predict(toy, config, trained.weights[None], toy.validation)[0]
        np.testing.assert_allclose(probabilities.sum(-1), 1)
        y = toy.labels[toy.validation]
        recalls = [(probabilities.argmax(-1) == y)[y == c].mean() for c in range(4)]
        assert np.mean(recalls) == pytest.approx(scores[trained.best_epoch - 1], abs=1e-6)


def test_the_one_standard_error_rule() -> None:
    def choose(selection: str, *epochs: tuple[float, float]) -> int:
        """The epoch kept (1-based) of `(UA, loss)` with a standard error of 0.05."""
        choice, kept = EpochChoice(selection), 0
        for epoch, (ua, loss_) in enumerate(epochs, start=1):
            if choice.takes({"validation_UA": ua, "validation_UA_error": 0.05, "validation_loss": loss_}):
                kept = epoch
        return kept

    epochs = ((0.50, 1.0), (0.70, 0.9), (0.66, 0.7), (0.64, 0.5), (0.69, 0.8))
    assert choose("UA", *epochs) == 3  # 0.66 is held equal to 0.70, and its loss is lower; 0.64 is not
    assert choose("loss", *epochs) == 4
    assert choose("last", *epochs) == 5
    assert choose("UA", *epochs, (0.80, 2.0)) == 6


def test_a_run_stops_when_its_patience_ends_and_the_others_go_on(data: Callable[..., Data]) -> None:
    toy = data()
    config = make_config("mlp", epochs=60, patience=3)
    results = train(toy, config, list(range(6)))
    assert len({r.epochs for r in results}) > 1
    for r in results:
        assert r.epochs == 60 or r.epochs == r.best_epoch + 3
        assert len(r.curves["loss"]) == r.epochs


def test_runs_may_have_training_rows_of_their_own(data: Callable[..., Data]) -> None:
    toy = data()
    config = make_config("linear", epochs=5)
    own = np.stack([np.arange(0, 40), np.arange(40, 80)])
    together = train(replace(toy, train=own), config, [3, 4])
    alone = train(replace(toy, train=own[1]), config, [4])
    assert torch.equal(together[1].weights, alone[0].weights)


def test_fine_tuning_starts_from_the_given_weights(data: Callable[..., Data]) -> None:
    toy = data()
    config = make_config("linear", epochs=1, lr=1e-9, weight_decay=0.0, selection="last")
    start = torch.randn(2, 52)
    for r, trained in enumerate(train(toy, config, [1, 2], start)):
        torch.testing.assert_close(trained.weights[:52], start[r, :52], rtol=0, atol=1e-6)


def test_a_non_finite_loss_and_a_single_class_are_errors(data: Callable[..., Data]) -> None:
    toy = data()
    with pytest.raises(TrainingError, match="fewer than two classes"):
        train(replace(toy, labels=np.zeros(150, dtype=np.int64)), make_config("linear"), [0])
    toy.resident.values["pooled"] = toy.resident.values["pooled"].clone()
    toy.resident.values["pooled"][3, 2] = float("nan")
    (trained,) = train(toy, make_config("linear"), [0])
    assert "not finite in epoch 1" in str(trained.error)


@pytest.mark.parametrize(("head", "kind"), [("mlp", "pooled"), ("bilstm", "frames")])
def test_without_validation_rows_the_last_epoch_is_taken_or_an_error_says_so(
    data: Callable[..., Data], head: str, kind: str
) -> None:
    toy = replace(data(kind), validation=np.arange(0))
    given: dict[str, Any] = {"epochs": 1, "head_options": {"hidden": 8}}
    with pytest.raises(TrainingError, match="selection by UA without validation rows; expected one or more"):
        train(toy, make_config(head, **given), [1])
    config = make_config(head, selection="last", **given)
    (trained,) = train(toy, config, [1])
    assert trained.best_epoch == 1
    assert predict(toy, config, trained.weights[None], toy.validation).shape == (1, 0, 4)  # as a record without one has it


def test_a_collapsed_run_is_named(data: Callable[..., Data]) -> None:
    toy = data()
    toy.resident.values["pooled"] = torch.zeros_like(toy.resident.values["pooled"])
    toy = replace(toy, names=("anger", "happiness", "neutral", "sadness"))
    (trained,) = train(toy, make_config("linear", epochs=5), [0])
    guess = int(predict(toy, make_config("linear"), trained.weights[None], toy.validation)[0].argmax(-1)[0])
    name = toy.names[guess]
    assert trained.notes == [f"collapsed: every validation utterance is predicted {name} from epoch 1 on"]


def test_buffers_of_an_ordinary_module_are_part_of_its_weights() -> None:
    """Batch normalisation predicts with its running statistics: without them a stored head gives chance."""
    module = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2))
    module.stackable = False  # type: ignore[assignment]
    block = Parameters([lambda: module])
    module[0].running_mean += 5  # type: ignore[operator, union-attr]
    kept = block.row(0)
    module[0].running_mean.zero_()  # type: ignore[operator, union-attr]
    block.load(kept[None])
    assert module[0].running_mean.tolist() == [5.0, 5.0, 5.0]  # type: ignore[operator, union-attr]
    with pytest.raises(TrainingError, match="of another head"):
        block.load(kept[None, :-1])
    with pytest.raises(TrainingError, match="cannot be stacked"):
        Parameters([lambda: torch.nn.BatchNorm1d(3)])


def test_clipping_is_per_run() -> None:
    block = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    assert Gradients(block).clip(1.0) is None
    torch.testing.assert_close(block, torch.tensor([[0.6, 0.8], [0.3, 0.4]]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torch_s(smoothing: float) -> None:
    logits, labels = torch.randn(3, 10, 4), torch.randint(0, 4, (3, 10))
    weights = torch.rand(3, 4) + 0.1
    for r in range(3):
        reference = torch.nn.functional.cross_entropy(logits[r], labels[r], weights[r], label_smoothing=smoothing)
        torch.testing.assert_close(loss(logits, labels, weights, smoothing)[r], reference)


def test_balanced_weights_survive_a_missing_class() -> None:
    weights = class_weights(torch.tensor([[6, 2, 0], [4, 4, 4]]))
    torch.testing.assert_close(weights, torch.tensor([[8 / 12, 2.0, 0.0], [1.0, 1.0, 1.0]]))


def test_schedules() -> None:
    assert factor("constant", 3, 10) == 1
    cosine = [factor("cosine", s, 100) for s in range(100)]
    assert cosine[4] == pytest.approx(0.45)
    assert max(cosine) <= 1
    assert cosine[-1] < 1e-3
    cycle = [factor("one-cycle", s, 100) for s in range(100)]
    assert cycle[0] == pytest.approx(1 / 25, abs=1e-3)
    assert int(np.argmax(cycle)) in (29, 30)
    assert cycle[-1] < 1e-3


def test_a_configuration_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'epochs'"):
        make_config("mlp", epoch=3)
    for wrong in ({"lr": -1.0}, {"schedule": "none"}, {"label_smoothing": 1.0}, {"epochs": 0}, {"selection": "test"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            make_config("mlp", **wrong)
    for option in ({"dropout": 2}, {"dropout": "foo"}, {"hidden": "abc"}, {"hidden": 0.5}, {"input_dropout": -0.1}):
        with pytest.raises(ConfigError):
            build_head("mlp", [Input("x", "audio", 3, False)], 2, dict(make_config("mlp", head_options=option).head_options), 0)
    assert make_config("mlp", head_options={"dropout": 0.1}).head_options["hidden"] == "512,256"
    assert make_config("linear").lr == 1e-2
    assert make_config("linear", lr=3e-4).lr == 3e-4
    assert isinstance(make_config("late").as_dict()["head_options"], dict)
    assert Config().as_dict()["batch_size"] == 32


def test_options_have_the_type_of_their_default(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"gate": False, "scale": 0.5, "size": 8, "words": "pre", "hidden": "512,256", "dropout": 0.1}
    monkeypatch.setattr("ser.train.heads._base.options_of", lambda _: known)
    given = {"gate": True, "scale": 3, "size": 2, "words": "post", "hidden": 64, "dropout": 0}
    found = make_config("mlp", head_options=given).head_options
    assert found == given
    assert isinstance(found["scale"], float)
    for wrong, said in (
        ({"gate": 1}, "true or false"),
        ({"gate": "yes"}, "true or false"),
        ({"scale": 0.0}, "a number above 0"),
        ({"scale": float("inf")}, "a number above 0"),
        ({"scale": True}, "a value such as 0.5"),
        ({"size": 2.5}, "a whole number, 1 or more"),
        ({"size": True}, "a value such as 8"),
        ({"words": 0.1}, "a word such as pre"),
        ({"hidden": 0.5}, "numbers of 1 or more such as 512,256"),
        ({"hidden": 0}, "numbers of 1 or more such as 512,256"),
        ({"hidden": "512,-4"}, "numbers of 1 or more such as 512,256"),
        ({"dropout": 1}, "0 or more and below 1"),
    ):
        with pytest.raises(ConfigError, match=said):
            make_config("mlp", head_options=wrong)
    for key, value in (("lr", "fast"), ("epochs", 2.5), ("mixup", True), ("loss", 3)):
        with pytest.raises(ConfigError, match=f"{key} ="):
            make_config("mlp", **{key: value})
    assert isinstance(make_config("mlp", mixup=1).mixup, float)


@pytest.mark.parametrize("clip", [0.0, 0.05, 1e9])
def test_large_weights_give_the_same_bits_alone_and_beside_others(data: Callable[..., Data], clip: float) -> None:
    """Their gradients are written in place, their norms taken meanwhile, and one run is clipped by the optimiser."""
    config = make_config("mlp", epochs=3, clip=clip, head_options={"hidden": "260,260"}, average="ema")
    toy = data("pooled")
    together, alone = train(toy, config, [5, 6, 7]), train(toy, config, [6])
    assert torch.equal(together[1].weights, alone[0].weights)
    assert together[1].curves == alone[0].curves


def test_clipping_is_that_of_torch(data: Callable[..., Data]) -> None:
    """One step of a head with large weights against autograd, `clip_grad_norm_` and AdamW on a copy."""
    config = make_config(
        "mlp",
        epochs=1,
        batch_size=100,
        clip=0.05,
        schedule="constant",
        selection="last",
        lr=1e-2,
        label_smoothing=0.0,
        class_weights="none",
        head_options={"hidden": "260,260", "dropout": 0.0, "input_dropout": 0.0},
    )
    toy = data("pooled")
    (trained,) = train(toy, config, [3])
    parameters, _ = trainable(toy, config, [3])
    head = copy.deepcopy(parameters.head)
    for parameter in head.parameters():
        parameter.grad = None
    optimiser = torch.optim.AdamW(head.parameters(), lr=1e-2, weight_decay=config.weight_decay)
    logits = head(toy.resident.batch(torch.from_numpy(toy.train)[None]))[0]
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(toy.labels[toy.train])).backward()
    assert float(torch.nn.utils.clip_grad_norm_(head.parameters(), 0.05)) > 0.05
    optimiser.step()
    expected = torch.cat([p.detach().flatten() for p in head.parameters()])
    torch.testing.assert_close(trained.weights, expected, rtol=1e-4, atol=2e-5)
