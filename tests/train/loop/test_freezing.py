"""A frozen encoder: not a bit of it changes, and what comes after it learns as it would by itself."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ser.errors import ConfigError, TrainingError
from ser.train.loop.config import Config, make_config
from ser.train.loop.data import Data
from ser.train.loop.freezing import encoder_of
from ser.train.loop.objective import trainable
from ser.train.loop.prediction import embeddings, heads, logits
from ser.train.loop.trainer import train

HEADS: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "mlp": ("pooled", {"hidden": "260,260"}, {"classifier.output.weight", "classifier.output.bias"}),
    "cross_attention": ("pooled+pooled", {"hidden": 16}, {"output.weight", "output.bias"}),
    "cnn2d": ("frames", {"hidden": 8, "channels": "2,2,2,2"}, {"output.weight", "output.bias"}),
    "bilstm": ("frames", {"hidden": 8}, {"output.weight", "output.bias"}),
    "resnet18": ("frames", {"hidden": 2}, {"output.weight", "output.bias"}),
}


def config_of(head: str, **options: Any) -> Config:
    return make_config(head, **{"head_options": HEADS[head][1], "epochs": 3, "batch_size": 16, "lr": 1e-2, **options})


def started(toy: Data, config: Config, runs: int = 2) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Weights of some runs after a short training, and the outcome of going on from there."""
    plain = replace(config, freeze="none", epochs=1, selection="last", adapt="none")
    seeds = list(range(runs))
    stacks = [seeds] if HEADS[config.head][0].startswith("pooled") else [[s] for s in seeds]
    first = torch.stack([t.weights for s in stacks for t in train(toy, plain, s)])
    parts = [train(toy, config, [s + 10 for s in own], first[own]) for own in stacks]
    return first, [t.weights for part in parts for t in part]


@pytest.mark.parametrize("options", [{}, {"average": "ema", "weight_decay": 0.5}, {"loss": "cross_entropy,prototype:0.1"}])
@pytest.mark.parametrize("head", list(HEADS))
def test_no_bit_of_the_encoder_changes_and_the_rest_learns(
    head: str, options: dict[str, Any], data: Callable[..., Data]
) -> None:
    toy = data(HEADS[head][0])
    config = config_of(head, freeze="encoder", **options)
    first, trained = started(toy, config)
    model = heads(toy, config, [0])[0]()
    free = HEADS[head][2]
    for before, after in zip(first, trained, strict=True):
        start = 0
        for name, parameter in model.named_parameters():
            part = slice(start, start := start + parameter.numel())
            assert torch.equal(before[part], after[part]) == (name not in free), name
        assert torch.equal(before[start:], after[start:])  # running statistics
    parameters, _ = trainable(toy, replace(config, freeze="none"), [0])
    rows = np.arange(100, 110)
    found = []
    for weights in (first[0], trained[0]):
        parameters.load(weights[None])
        found.append((embeddings(parameters, toy, rows), logits(parameters, toy, rows)))
    assert torch.equal(found[0][0], found[1][0])
    assert not torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize("head", list(HEADS))
def test_the_encoder_is_what_the_embedding_depends_on(head: str, data: Callable[..., Data]) -> None:
    toy = data(HEADS[head][0])
    model = heads(toy, config_of(head), [0])[0]()
    batch = toy.resident.batch(torch.tensor([[0, 1]]))
    found = encoder_of(model, batch)
    assert {n for n, _ in model.named_parameters()} - found.parameters == HEADS[head][2]
    assert bool(found.statistics) == (head == "resnet18")
    assert all(p.grad is None for p in model.parameters())
    bare = heads(data(), make_config("mlp", head_options={"hidden": ""}), [0])[0]()
    assert encoder_of(bare, data().resident.batch(torch.tensor([[0, 1]]))).parameters == set()


def test_what_learns_is_a_linear_layer_on_fixed_embeddings(data: Callable[..., Data]) -> None:
    """Against torch.nn.Linear on the embeddings, with a clipping norm that counts this layer alone."""
    toy = data()
    quiet = {"hidden": "32", "dropout": 0.0, "input_dropout": 0.0}
    config = make_config(
        "mlp",
        head_options=quiet,
        freeze="encoder",
        epochs=3,
        batch_size=32,
        schedule="constant",
        selection="last",
        lr=1e-2,
        clip=0.1,
        label_smoothing=0.0,
        class_weights="none",
    )
    parameters, _ = trainable(toy, replace(config, freeze="none"), [7])
    start = parameters.row(0)
    (trained,) = train(toy, config, [7], start[None])
    x = embeddings(parameters, toy, np.arange(100))[0]
    layer = torch.nn.Linear(32, 4)
    layer.weight.data, layer.bias.data = start[-132:-4].view(32, 4).T.clone(), start[-4:].clone()
    optimiser = torch.optim.AdamW(layer.parameters(), lr=1e-2, weight_decay=0.01)
    from ser.train.nn import streams

    for epoch in (1, 2, 3):
        for rows in torch.randperm(100, generator=streams.generator(7, "order", epoch)).split(32):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(layer(x[rows]), torch.from_numpy(toy.labels)[rows]).backward()
            torch.nn.utils.clip_grad_norm_(layer.parameters(), 0.1)
            optimiser.step()
    torch.testing.assert_close(trained.weights[-132:-4].view(32, 4), layer.weight.T, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(trained.weights[-4:], layer.bias, rtol=1e-4, atol=1e-5)


def test_runs_leave_a_frozen_stack_by_themselves(data: Callable[..., Data]) -> None:
    toy = data()
    config = make_config("mlp", freeze="encoder", epochs=30, patience=2, lr=1e-2, head_options={"hidden": "16"})
    random = torch.Generator().manual_seed(0)
    size = len(train(toy, replace(config, freeze="none", epochs=1), [0])[0].weights)
    start = torch.randn(4, size, generator=random) * 0.3
    together = train(toy, config, [1, 2, 3, 4], start)
    assert len({t.epochs for t in together}) > 1
    for k, trained in enumerate(together):
        assert torch.equal(trained.weights[:-68], start[k, :-68])
        assert not torch.equal(trained.weights[-68:], start[k, -68:])
        assert torch.equal(trained.weights, train(toy, config, [k + 1], start[k : k + 1])[0].weights)


def test_what_cannot_be_frozen_is_refused(data: Callable[..., Data]) -> None:
    with pytest.raises(ConfigError, match="head linear has none"):
        make_config("linear", freeze="encoder")
    with pytest.raises(ConfigError, match="freeze = head"):
        make_config("mlp", freeze="head")
    with pytest.raises(ConfigError, match="with context dialogue"):
        make_config("bilstm", freeze="encoder", context="dialogue")
    with pytest.raises(TrainingError, match="without weights to start from"):
        train(data(), make_config("mlp", freeze="encoder"), [1])
