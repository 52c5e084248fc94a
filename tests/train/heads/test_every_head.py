"""Every head plugin, tomorrow's too: the features it states and no others, padding without effect, every parameter reached."""

import re
from collections.abc import Callable
from itertools import combinations_with_replacement, product

import numpy as np
import pytest
import torch
from scipy.special import softmax

from ser import registry
from ser.checks import heads
from ser.checks.heads import small
from ser.errors import ConfigError, TrainingError
from ser.train.heads._base import (
    HEADS,
    KINDS,
    Takes,
    _Undrawn,
    build_head,
    is_stackable,
    options_of,
    parameter_count,
    part_of,
    plugin,
    takes,
)
from ser.train.loop.config import make_config
from ser.train.loop.data import Data
from ser.train.nn.layers import Feature, Features, Input

Stores = tuple[tuple[str, str], ...]  # the modality and the kind of each
# The features that the fixture `data` has, by its names for them.
DATA: dict[str, Stores] = {
    "pooled": (("audio", "pooled"),),
    "layers": (("audio", "pooled"),),
    "frames": (("audio", "frames"),),
    "words": (("text", "words"),),
    "pooled+pooled": (("audio", "pooled"), ("text", "pooled")),
    "frames+words": (("audio", "frames"), ("text", "words")),
    "pooled+words": (("audio", "pooled"), ("text", "words")),
    "three": (("audio", "pooled"), ("audio", "frames"), ("text", "words")),
}
EVERY = tuple(product(("audio", "text", "visual"), KINDS))
PAPER = re.compile(r"[A-Z][a-z]+ .{0,150}?\b(19|20)\d\d\b", re.DOTALL)
HEADS_THAT_TRAIN = [n for n in registry.names(HEADS) if part_of(n) == n]


def inputs_of(stores: Stores) -> list[Input]:
    """Stores of some modalities and kinds."""
    return [
        Input(f"{modality}-{kind}-{k}", modality, *{"pooled": (6, False), "frames": (6, True), "words": (1, True, 9)}[kind])
        for k, (modality, kind) in enumerate(stores)
    ]


def batch_of(inputs: list[Input]) -> Features:
    """Three utterances of 4, 2 and 1 frames, for one run."""
    random = torch.Generator().manual_seed(0)
    mask = torch.tensor([[[True] * n + [False] * (4 - n) for n in (4, 2, 1)]])
    found = {}
    for i in inputs:
        values = torch.randn(1, 3, *([4] if i.framewise else []), i.dim, generator=random)
        if i.vocabulary:
            values = torch.randint(1, i.vocabulary, values.shape, generator=random, dtype=torch.int32)
        found[i.name] = Feature(values * mask[..., None] if i.framewise else values, mask if i.framewise else None)
    return found


TAKEN = [(n, k) for n in HEADS_THAT_TRAIN for k, stores in DATA.items() if takes(n).fits(inputs_of(stores))]


@pytest.mark.parametrize("name", registry.names(HEADS))
def test_a_head_opens_with_its_facts(name: str) -> None:
    module = plugin(name)
    assert len(registry.summary(module)) > 20
    assert PAPER.search(str(module.__doc__)), "who published it, and the year"
    make_config(name)  # its DEFAULTS are options there are
    assert hasattr(module, "Head") or hasattr(module, "combine")
    assert isinstance(module.TAKES, Takes) if hasattr(module, "Head") else not hasattr(module, "TAKES")


@pytest.mark.parametrize("name", HEADS_THAT_TRAIN)
def test_a_head_takes_what_it_states_and_refuses_all_else(name: str) -> None:
    """One to three stores of any modality and kind."""
    taken = 0
    for number in (1, 2, 3):
        for stores in combinations_with_replacement(EVERY, number):
            inputs = inputs_of(stores)
            if takes(name).fits(inputs):
                if number < 3:
                    head = build_head(name, inputs, 4, small(name), 0).eval()
                    assert head(batch_of(inputs)).shape == (1, 3, 4), stores
                else:
                    assert parameter_count(name, inputs, 4, small(name), 1 << 40)  # of a head without memory for it
                taken += 1
            else:
                with pytest.raises(TrainingError, match=f"head {name} cannot take these features; expected .*store"):
                    build_head(name, inputs, 4, small(name), 0)
    assert taken
    with pytest.raises(TrainingError, match="cannot take these features"):
        build_head(name, [], 4, small(name), 0)


def test_heads_state_the_features_of_their_descriptions() -> None:
    """A table beside the plugins: a head that wrongly refused frames would state so."""
    stated = {name: takes(name) for name in HEADS_THAT_TRAIN}
    for name in ("linear", "mlp", "mean_linear", "early", "gated", "cross_attention"):
        assert stated[name] == Takes()
    for name in ("cnn2d", "cnn_bilstm", "resnet18", "timnet"):
        assert (stated[name].kinds, stated[name].most) == (("frames",), 1)
    for name in ("audio_transformer", "text_transformer", "bilstm", "patch_attention", "text_centred"):
        assert stated[name].kinds == ("frames", "words")
    assert takes("late") == takes("mlp")
    for modalities, name in (
        (("audio",), "audio_transformer"),
        (("text",), "text_transformer"),
        (("audio", "text"), "patch_attention"),
        (("text", "audio", "visual"), "text_centred"),
        ((), "bilstm"),
    ):
        assert stated[name].modalities == modalities
    assert [n for n in stated if stated[n].one_each] == ["patch_attention", "text_centred"]
    assert str(stated["text_centred"]) == (
        "at most one store of each modality: text or audio or visual frames or words, text among them"
    )


@pytest.mark.parametrize(("name", "kind"), TAKEN)
def test_the_size_of_a_head_is_known_without_it(name: str, kind: str, data: Callable[..., Data]) -> None:
    """A saved head is compared with it before anything of its size is made."""
    inputs = data(kind).resident.inputs
    head = build_head(name, inputs, 4, small(name), 0)
    size = sum(t.numel() for t in (*head.parameters(), *head.buffers()))
    assert parameter_count(name, inputs, 4, small(name), size) == size
    with pytest.raises(ConfigError, match="the head is larger"):
        parameter_count(name, inputs, 4, small(name), sum(p.numel() for p in head.parameters()) - 1)
    assert all(p.device.type == "cpu" for p in build_head(name, inputs, 4, small(name), 0).parameters())


@pytest.mark.parametrize(
    "scaled", [lambda w: torch.mul(w, 0.5), lambda w: torch.mul(w, other=0.5), lambda w: 0.5 * w, lambda w: w * w]
)
def test_weights_without_memory_may_be_scaled_in_any_way(scaled: Callable[[torch.Tensor], torch.Tensor]) -> None:
    with torch.device("meta"), _Undrawn():
        assert scaled(torch.randn(2, 3)).shape == (2, 3)


@pytest.mark.parametrize(("name", "kind"), dict(reversed(TAKEN)).items())
def test_options_of_a_head_that_no_memory_holds_are_refused(name: str, kind: str, data: Callable[..., Data]) -> None:
    """Nothing of the size is allocated: the weights of each would be 4 GB and more."""
    inputs = data(kind).resident.inputs
    wide = {n: d for n, d in options_of(name).items() if n in ("hidden", "channels")}
    huge: dict[str, object] = {n: "1000000000,16" if isinstance(d, str) else 960_000_000 for n, d in wide.items()}
    if name.endswith("_transformer"):
        huge["layers"] = 10**9
    for option, value in huge.items():
        message = f"head {name} with {option}={value} is too large; expected .* GiB.*; found .*"
        with pytest.raises(ConfigError, match=message):
            build_head(name, inputs, 4, {option: value}, 0)


@pytest.mark.parametrize(("name", "kind"), TAKEN)
def test_logits_have_their_shape_and_every_parameter_gets_a_gradient(name: str, kind: str) -> None:
    heads.has_logits_and_gradients(name, kind)


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, k in TAKEN if any(w != "pooled" for _, w in DATA[k])])
def test_padding_has_no_effect(name: str, kind: str) -> None:
    heads.ignores_padding(name, kind)


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, k in TAKEN if k in ("pooled", "pooled+pooled", "layers")])
def test_a_run_is_itself_alone_or_among_others(name: str, kind: str, data: Callable[..., Data]) -> None:
    """Bit for bit on a CPU, dropout on: run 3 of 5 is run 3 alone, and is run 3 in another slot."""
    if not is_stackable(build_head(name, data(kind).resident.inputs, 4, small(name), 0)):
        pytest.skip("trains one run at a time")
    heads.runs_are_themselves(name, kind)


@pytest.mark.parametrize("name", [n for n in HEADS_THAT_TRAIN if getattr(plugin(n), "POOLS_FIRST", False)])
def test_a_head_that_pools_first_is_the_same_on_pooled_frames(name: str) -> None:
    heads.pools_first(name)


@pytest.mark.parametrize("name", HEADS_THAT_TRAIN)
def test_a_head_learns_what_is_easy(name: str) -> None:
    heads.learns(name, next(k for k in heads.EASY if (name, k) in TAKEN))


def test_a_seed_decides_the_initial_weights_and_leaves_the_global_stream_alone(data: Callable[..., Data]) -> None:
    resident = data().resident
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = [p.clone() for p in build_head("mlp", resident.inputs, 4, {}, 1).parameters()]
    assert torch.equal(torch.rand(3), expected)
    again, other = (list(build_head("mlp", resident.inputs, 4, {}, s).parameters()) for s in (1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_an_unknown_option_names_the_nearest(data: Callable[..., Data]) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'hidden'"):
        build_head("mlp", data().resident.inputs, 4, {"hiden": 3}, 0)
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
