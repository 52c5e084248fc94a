"""Every head plugin, tomorrow's too: all kinds of features, padding without effect, every parameter reached."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import softmax

from ser import registry
from ser.errors import ConfigError, TrainingError
from ser.train.loop.batches import Resident
from ser.train.loop.config import make_config
from ser.train.loop.trainer import Data, predict, train
from ser.train.nn.head import HEADS, build, is_stackable, options_of, part_of, plugin

KINDS = ("pooled", "layers", "frames", "words", "pooled+pooled", "frames+words", "pooled+words", "three")
ALL = [(name, kind) for name in registry.names(HEADS) for kind in KINDS]
HEADS_THAT_TRAIN = [n for n in registry.names(HEADS) if part_of(n) == n]


def small(name: str) -> dict[str, int]:
    """Options that make a head small, where it has them."""
    return {"hidden": 16} if "hidden" in options_of(name) else {}


def built(name: str, resident: Resident, seed: int = 0) -> torch.nn.Module:
    try:
        return build(name, resident.inputs, 4, small(name), seed)
    except TrainingError as error:
        assert "cannot take these features" in str(error)  # noqa: PT017
        pytest.skip(f"{name} says that it cannot take these")


@pytest.mark.parametrize("name", registry.names(HEADS))
def test_a_head_opens_with_its_facts(name: str) -> None:
    assert len(registry.summary(plugin(name))) > 20
    make_config(name)  # its DEFAULTS are options there are
    assert hasattr(plugin(name), "Head") or hasattr(plugin(name), "combine")


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, k in ALL if part_of(n) == n])
def test_logits_have_their_shape_and_every_parameter_gets_a_gradient(
    name: str, kind: str, data: Callable[..., Data]
) -> None:
    resident = data(kind).resident
    head = built(name, resident).eval()
    logits = head(resident.batch(torch.arange(7)[None]))
    assert logits.shape == (1, 7, 4)
    logits.pow(2).sum().backward()
    for key, parameter in head.named_parameters():
        assert parameter.grad is not None, key
        assert bool(parameter.grad.isfinite().all()), key


@pytest.mark.parametrize(
    ("name", "kind"), [(n, k) for n, k in ALL if part_of(n) == n and k not in ("pooled", "layers")]
)
def test_padding_has_no_effect(name: str, kind: str, data: Callable[..., Data]) -> None:
    resident = data(kind).resident
    head = built(name, resident).eval()
    lengths = torch.stack([torch.diff(o) for o in resident.offsets.values()]).sum(0) if resident.offsets else None
    if lengths is None:
        pytest.skip("nothing is padded")
    short, long = int(lengths.argmin()), int(lengths.argmax())
    alone = head(resident.batch(torch.tensor([[short]])))
    beside = head(resident.batch(torch.tensor([[long, short]])))
    torch.testing.assert_close(beside[:, 1:], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", HEADS_THAT_TRAIN)
@pytest.mark.parametrize("kind", ["pooled", "pooled+pooled", "layers"])
def test_a_run_is_itself_alone_or_among_others(name: str, kind: str, data: Callable[..., Data]) -> None:
    """Bit for bit on a CPU, dropout on: run 3 of 5 is run 3 alone, and is run 3 in another slot."""
    toy = data(kind)
    if not is_stackable(built(name, toy.resident)):
        pytest.skip("trains one run at a time")
    config = make_config(name, epochs=4, patience=2, head_options=small(name))
    five = train(toy, config, [11, 22, 33, 44, 55])
    alone = train(toy, config, [33])
    moved = train(toy, config, [33, 99])
    for other in (alone[0], moved[0]):
        assert torch.equal(five[2].weights, other.weights)
        assert five[2].curves == other.curves
    assert not torch.equal(five[0].weights, five[1].weights)


@pytest.mark.parametrize("name", HEADS_THAT_TRAIN)
def test_a_head_learns_what_is_easy(name: str, data: Callable[..., Data]) -> None:
    resident_kind = next(k for k in ("frames+words", "pooled", "frames", "words") if _takes(name, data(k).resident))
    toy = data(resident_kind)
    config = make_config(name, epochs=15, lr=5e-3, head_options=small(name))
    (trained,) = train(toy, config, [1])
    rows = np.arange(125, 150)
    guess = predict(toy, config, trained.weights[None], rows)[0].argmax(-1)
    assert (guess == toy.labels[rows]).mean() > 0.8


def _takes(name: str, resident: Resident) -> bool:
    try:
        build(name, resident.inputs, 4, small(name), 0)
    except TrainingError:
        return False
    return True


def test_a_seed_decides_the_initial_weights_and_leaves_the_global_stream_alone(data: Callable[..., Data]) -> None:
    resident = data().resident
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = [p.clone() for p in build("mlp", resident.inputs, 4, {}, 1).parameters()]
    assert torch.equal(torch.rand(3), expected)
    again, other = (list(build("mlp", resident.inputs, 4, {}, s).parameters()) for s in (1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_an_unknown_option_names_the_nearest(data: Callable[..., Data]) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'hidden'"):
        build("mlp", data().resident.inputs, 4, {"hiden": 3}, 0)
    with pytest.raises(ConfigError, match="Did you mean 'mlp'"):
        plugin("mpl")


def test_late_fusion_by_logits_is_the_softmax_of_their_mean() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(2, 3, 5, 4)) * 4  # parts, runs, utterances, classes
    found = plugin("late_logits").combine(list(softmax(logits, axis=-1)))
    np.testing.assert_allclose(found, softmax(logits.mean(0), axis=-1))
    certain = plugin("late_logits").combine([np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]])])
    np.testing.assert_allclose(certain, [[0.5, 0.5]])


def test_late_fusion_is_the_mean_of_probabilities() -> None:
    parts = [np.array([[0.2, 0.8]]), np.array([[0.6, 0.4]])]
    np.testing.assert_allclose(plugin("late").combine(parts), [[0.4, 0.6]])
